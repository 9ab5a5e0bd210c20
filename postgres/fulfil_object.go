package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// FileObjection implements [fulfil.Store].
func (s *FulfilStore) FileObjection(ctx context.Context, opening dsar.Prepared, records []consent.Record, restrict bool) (dsar.Request, []audit.Receipt, error) {
	var r dsar.Request
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		r = opening.Request
		// Somebody unknown, or who is being erased, has no ledger: their request stands alone.
		asked := r.DataSubject
		if asked.IsZero() {
			asked = privacy.DataSubjectID(r.ID)
		}
		err := lockPersonTx(ctx, tx, asked)
		if err != nil && !errors.Is(err, privacy.ErrNotFound) {
			return nil, err
		}
		there := err == nil
		if err := openRequestTx(ctx, tx, &r, &opening.Step, opening.Wrapped); err != nil {
			return nil, err
		}
		events := []audit.Event{opening.Event}
		if !there {
			return events, nil
		}
		objected := make([]audit.Event, len(records))
		for i := range records {
			objected[i] = opening.Event
			objected[i].Kind, objected[i].Purpose, objected[i].Channel = records[i].Action.Kind(), records[i].Purpose, records[i].Channel
		}
		said, err := addConsentsTx(ctx, tx, s.db, records, objected)
		if err != nil {
			return nil, err
		}
		events = append(events, said...)
		if restrict {
			if err := restrictTx(ctx, tx, s.db, asked, true); err != nil {
				return nil, err
			}
			event := opening.Event
			event.Kind, event.List = audit.PersonRestricted, dsar.StepDigest(r.ID, opening.Step.Number, dsar.ActionRestrict, audit.Digest{})
			events = append(events, event)
		}
		return events, nil
	})
	if err != nil {
		return dsar.Request{}, nil, fmt.Errorf("filing an objection: %w", err)
	}
	return r, receipts, nil
}
