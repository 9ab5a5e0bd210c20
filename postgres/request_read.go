package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// requestColumns are what readRequest reads.
const requestColumns = `r.request_id, r.kind, r.state, r.regime, r.jurisdiction, r.language, r.data_subject_id, r.tags, r.received_via,
	r.received_at, r.started_at, r.acknowledge_by, r.due_at, r.extended_at, r.paused_at, r.verified_at, r.erased_at, r.closed_at,
	r.denial_reason, r.duplicate_of, r.opened_by, r.version, r.category, r.complaint_year, r.complaint_count, r.outcome`

func readRequest(row pgx.CollectableRow, more ...any) (dsar.Request, error) {
	var r dsar.Request
	var person, duplicate pgtype.UUID
	var started, acknowledge, due, extended, paused, verified, erased, closed *time.Time
	var denial, category, outcome *string
	var year *int
	var count *int64
	var openedBy []byte
	err := row.Scan(append([]any{
		(*[16]byte)(&r.ID), &r.Kind, &r.State, &r.Regime, &r.Jurisdiction, &r.Language, &person, &r.Tags, &r.Via,
		&r.ReceivedAt, &started, &acknowledge, &due, &extended, &paused, &verified, &erased, &closed,
		&denial, &duplicate, &openedBy, &r.Version, &category, &year, &count, &outcome,
	}, more...)...)
	if err != nil {
		return dsar.Request{}, err
	}
	if len(openedBy) != len(r.OpenedBy) {
		return dsar.Request{}, fmt.Errorf("reading request: %w", privacy.ErrDamaged)
	}
	r.OpenedBy = [16]byte(openedBy)
	r.DataSubject, r.DuplicateOf = person.Bytes, duplicate.Bytes
	r.ReceivedAt = r.ReceivedAt.UTC()
	if denial != nil {
		r.Denial = dsar.DenialReason(*denial)
	}
	if category != nil {
		r.Category = dsar.Category(*category)
	}
	if year != nil && count != nil {
		r.Number = dsar.ComplaintNumber{Year: *year, Count: *count}
	}
	if outcome != nil {
		r.Outcome = dsar.ComplaintOutcome(*outcome)
	}
	for to, from := range map[*time.Time]*time.Time{
		&r.StartedAt: started, &r.AcknowledgeBy: acknowledge, &r.DueAt: due, &r.ExtendedAt: extended, &r.PausedAt: paused,
		&r.VerifiedAt: verified, &r.ErasedAt: erased, &r.ClosedAt: closed,
	} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return r, nil
}

const sqlRequestFind = `
select ` + requestColumns + `, r.sealed
from dsar.request r
where r.request_id = $1`

const sqlRequestPauses = `
select ground, from_at, until_at
from dsar.request_pause
where request_id = $1
order by from_at, ground`

// Find implements [dsar.RequestStore].
func (s *RequestStore) Find(ctx context.Context, id dsar.RequestID) (dsar.Request, error) {
	var r dsar.Request
	batch := &pgx.Batch{}
	queueRequest(batch, id, &r)
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return dsar.Request{}, fmt.Errorf("finding request: %w", translate(err))
	}
	return r, nil
}

// queueRequest reads a request with its pauses into r.
func queueRequest(batch *pgx.Batch, id dsar.RequestID, r *dsar.Request) {
	batch.Queue(sqlRequestFind, [16]byte(id)).Query(func(rows pgx.Rows) error {
		var sealed []byte
		found, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (dsar.Request, error) { return readRequest(row, &sealed) })
		*r, r.Sealed = found, sealed
		return err
	})
	batch.Queue(sqlRequestPauses, [16]byte(id)).Query(func(rows pgx.Rows) (err error) {
		r.Pauses, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (clock.Pause, error) {
			var p clock.Pause
			var until *time.Time
			err := row.Scan(&p.Ground, &p.From, &until)
			if p.From = p.From.UTC(); until != nil {
				p.Until = until.UTC()
			}
			return p, err
		})
		return err
	})
}

const sqlRequestOfComplaint = `
select request_id from dsar.request where complaint_year = $1 and complaint_count = $2`

// FindComplaint implements [dsar.RequestStore].
func (s *RequestStore) FindComplaint(ctx context.Context, number dsar.ComplaintNumber) (id dsar.RequestID, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlRequestOfComplaint, number.Year, number.Count).Scan((*[16]byte)(&id)); err != nil {
		return dsar.RequestID{}, fmt.Errorf("finding complaint: %w", translate(err))
	}
	return id, nil
}

const sqlRequestKey = `
select wrapped from keyring.request_key where request_id = $1`

// WrappedKey implements [dsar.RequestStore].
func (s *RequestStore) WrappedKey(ctx context.Context, id dsar.RequestID) ([]byte, error) {
	var wrapped []byte
	if err := s.db.pool.QueryRow(ctx, sqlRequestKey, [16]byte(id)).Scan(&wrapped); err != nil {
		return nil, fmt.Errorf("reading key of a request: %w", translate(err))
	}
	return wrapped, nil
}

const sqlRequestSteps = `
select step, action, from_state, to_state, at, by_actor, sealed
from dsar.request_step
where request_id = $1
order by step`

// Steps implements [dsar.RequestStore].
func (s *RequestStore) Steps(ctx context.Context, id dsar.RequestID) ([]dsar.Step, error) {
	rows, err := s.db.pool.Query(ctx, sqlRequestSteps, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("reading steps of a request: %w", translate(err))
	}
	steps, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.Step, error) {
		step := dsar.Step{Request: id}
		var actor []byte
		err := row.Scan(&step.Number, &step.Action, &step.From, &step.To, &step.At, &actor, &step.Sealed)
		if err == nil && len(actor) != len(step.By) {
			err = privacy.ErrDamaged
		}
		if err != nil {
			return dsar.Step{}, err
		}
		step.At, step.By = step.At.UTC(), [16]byte(actor)
		return step, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading steps of a request: %w", translate(err))
	}
	return steps, nil
}

const sqlRequestDuplicates = `
select request_id from dsar.request where duplicate_of = $1 order by received_at, request_id`

// Duplicates implements [dsar.RequestStore].
func (s *RequestStore) Duplicates(ctx context.Context, id dsar.RequestID) ([]dsar.RequestID, error) {
	rows, err := s.db.pool.Query(ctx, sqlRequestDuplicates, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("reading duplicates of a request: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("reading duplicates of a request: %w", translate(err))
	}
	ids := make([]dsar.RequestID, len(found))
	for i := range found {
		ids[i] = found[i]
	}
	return ids, nil
}
