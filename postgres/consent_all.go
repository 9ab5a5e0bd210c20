package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// AddAll implements [consent.Store].
func (s *ConsentStore) AddAll(ctx context.Context, records []consent.Record, events []audit.Event) ([]audit.Receipt, error) {
	if len(records) == 0 || len(records) != len(events) {
		return nil, fmt.Errorf("adding consent records without an event for each: %w", privacy.ErrInvalid)
	}
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		return addConsentsTx(ctx, tx, s.db, records, events)
	})
	if err != nil {
		return nil, fmt.Errorf("adding consent records: %w", err)
	}
	return receipts, nil
}

// addConsentsTx adds records that must all be new, of people who must all be there, and
// returns the events for them, each of which commits to its own record.
func addConsentsTx(ctx context.Context, tx pgx.Tx, db *DB, records []consent.Record, events []audit.Event) ([]audit.Event, error) {
	rows := make([]*consentRow, len(records))
	for i := range records {
		rows[i] = &consentRow{record: records[i]}
	}
	if err := addConsentRows(ctx, tx, db, rows, nil, true); err != nil {
		return nil, err
	}
	said := make([]audit.Event, len(rows))
	for i, row := range rows {
		switch row.outcome {
		case rowAdded:
		case rowNobody:
			return nil, privacy.ErrNotFound
		default:
			return nil, fmt.Errorf("a record with that id is there: %w", privacy.ErrConflict)
		}
		said[i] = events[i]
		said[i].List = audit.Digest(row.commitment)
	}
	return said, nil
}
