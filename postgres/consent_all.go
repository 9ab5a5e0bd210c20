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
		for i := range records {
			if err := addConsentTx(ctx, tx, &records[i]); err != nil {
				return nil, err
			}
		}
		return events, nil
	})
	if err != nil {
		return nil, fmt.Errorf("adding consent records: %w", err)
	}
	return receipts, nil
}
