package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/privacy"
)

var _ receipt.Finder = (*ConsentStore)(nil)

// Ids are chosen by callers, who may give one to the choices of two people: then it finds
// neither.
const sqlConsentFind = `
select data_subject_id
from consent.record
where consent_id = $1
limit 2`

// Find implements [receipt.Finder].
func (s *ConsentStore) Find(ctx context.Context, id [16]byte) (consent.Record, error) {
	rows, err := s.db.pool.Query(ctx, sqlConsentFind, id)
	if err != nil {
		return consent.Record{}, fmt.Errorf("finding consent record: %w", translate(err))
	}
	people, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	switch {
	case err != nil:
		return consent.Record{}, fmt.Errorf("finding consent record: %w", translate(err))
	case len(people) == 0:
		return consent.Record{}, fmt.Errorf("finding consent record: %w", privacy.ErrNotFound)
	case len(people) > 1:
		return consent.Record{}, fmt.Errorf("finding consent record: several people have one with this id: %w", privacy.ErrConflict)
	}
	// The list knows what each column means, and a person has few lines.
	records, err := s.List(ctx, privacy.DataSubjectID(people[0]))
	if err != nil {
		return consent.Record{}, err
	}
	for _, record := range records {
		if record.ID == id {
			return record, nil
		}
	}
	return consent.Record{}, fmt.Errorf("finding consent record: %w", privacy.ErrNotFound)
}
