package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// EraseStore erases people. mahrem_app may delete nothing: it calls a function of the
// database's owner that does this and nothing else.
type EraseStore struct {
	*VaultStore
	log transactor
}

// transactor commits a change together with its log entry. [AuditLog] does.
type transactor interface {
	AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error)
}

var _ dsar.Store = (*EraseStore)(nil)

// NewEraseStore erases from the store's database, with entries in log.
func NewEraseStore(store *VaultStore, log *AuditLog) *EraseStore {
	return &EraseStore{VaultStore: store, log: log}
}

const sqlErasePerson = `
	select data_subjects, person_keys, identifiers, records, chunks, fingerprints, consents, exposures
	from vault.erase_person($1)`

// Erase is [dsar.Store]'s.
func (s *EraseStore) Erase(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (dsar.Counts, audit.Receipt, error) {
	var counts dsar.Counts
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var people int64
		err := tx.QueryRow(ctx, sqlErasePerson, [16]byte(id)).Scan(&people, &counts.Keys, &counts.Identifiers,
			&counts.Records, &counts.Chunks, &counts.Fingerprints, &counts.Consents, &counts.Exposures)
		if err != nil {
			return translate(err)
		}
		if people == 0 && counts == (dsar.Counts{}) {
			return privacy.ErrNotFound
		}
		return nil
	})
	if err != nil {
		return dsar.Counts{}, audit.Receipt{}, fmt.Errorf("erasing rows: %w", err)
	}
	return counts, receipt, nil
}
