package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

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

const sqlEraseShred = `
	select people, key_digests, identifiers, consents, exposures, cases, erased_at
	from vault.shred($1, $2, $3, $4, $5, $6, $7)`

const sqlEraseSweep = `
	select rows_deleted, people
	from vault.sweep($1, $2)`

const sqlEraseCounts = `
	select records, chunks, fingerprints
	from dsar.erasure
	where erasure_id = $1`

// Erase is [dsar.Store]'s.
func (s *EraseStore) Erase(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (dsar.Counts, audit.Receipt, error) {
	erasure, err := dsar.NewErasureID(rand.Reader)
	if err != nil {
		return dsar.Counts{}, audit.Receipt{}, err
	}
	nothing, err := s.vault.SealHouse("erasure/withheld", []byte("[]"))
	if err != nil {
		return dsar.Counts{}, audit.Receipt{}, err
	}
	var counts dsar.Counts
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var people, cases int64
		var digests [][]byte
		var at *time.Time
		err := tx.QueryRow(ctx, sqlEraseShred, [16]byte(id), [16]byte(erasure), nil, make([]byte, 32), nothing, 0, 0).Scan(
			&people, &digests, &counts.Identifiers, &counts.Consents, &counts.Exposures, &cases, &at)
		if err != nil {
			return translate(err)
		}
		if people == 0 {
			return privacy.ErrNotFound
		}
		counts.Keys = int64(len(digests))
		for people = 0; people == 0; {
			var rows int64
			if err := tx.QueryRow(ctx, sqlEraseSweep, 100000, [16]byte(erasure)).Scan(&rows, &people); err != nil {
				return translate(err)
			}
		}
		return translate(tx.QueryRow(ctx, sqlEraseCounts, [16]byte(erasure)).Scan(&counts.Records, &counts.Chunks, &counts.Fingerprints))
	})
	if err != nil {
		return dsar.Counts{}, audit.Receipt{}, fmt.Errorf("erasing rows: %w", err)
	}
	return counts, receipt, nil
}
