package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// RequestStore keeps the requests of data subjects.
type RequestStore struct {
	db  *DB
	log transactor
}

var _ dsar.RequestStore = (*RequestStore)(nil)

// NewRequestStore returns a store in db whose changes commit with their entries in log.
func NewRequestStore(db *DB, log *AuditLog) *RequestStore { return &RequestStore{db: db, log: log} }

// Requests of the same person or of one of the same identifiers are opened one after the
// other, so that the second finds the first.
const sqlRequestTurn = `
select pg_advisory_xact_lock(key) from unnest($1::bigint[]) with ordinality turn (key, place) order by place`

// An erasure that is under way is waited for, and then there is nobody any more.
const sqlRequestPerson = `
select d.data_subject_id
from vault.data_subject d
join keyring.person_key k on k.data_subject_id = d.data_subject_id
where d.data_subject_id = $1
for key share of d`

// What is linked itself comes after what it is linked to, however old they say they are.
const sqlRequestOlder = `
select request_id
from (
	select request_id, received_at, duplicate_of is not null as linked from dsar.request
	where data_subject_id = $1 and kind = $3 and closed_at is null
	union all
	select request_id, received_at, duplicate_of is not null as linked from dsar.request
	where tags && $2::uuid[] and kind = $3 and closed_at is null
) older
order by linked, received_at, request_id
limit 1`

const sqlRequestOpen = `
insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, data_subject_id, tags, received_via,
	received_at, started_at, acknowledge_by, due_at, duplicate_of, opened_by, sealed, version, category, complaint_year, complaint_count)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`

// The last lock that an opening takes: whoever waits for it waits for a commit.
const sqlRequestNumber = `
insert into dsar.complaint_year (year, last)
values ($1, 1)
on conflict (year) do update set last = complaint_year.last + 1
returning last`

const sqlRequestKeyAdd = `
insert into keyring.request_key (request_id, wrapped) values ($1, $2)`

const sqlRequestStepAdd = `
insert into dsar.request_step (request_id, step, action, from_state, to_state, at, by_actor, sealed)
values ($1, $2, $3, $4, $5, $6, $7, $8)`

// Open implements [dsar.RequestStore].
func (s *RequestStore) Open(ctx context.Context, r dsar.Request, step dsar.Step, wrapped []byte, event audit.Event) (dsar.Request, audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		return openRequestTx(ctx, tx, &r, &step, wrapped)
	})
	if err != nil {
		return dsar.Request{}, audit.Receipt{}, fmt.Errorf("recording request: %w", err)
	}
	return r, receipt, nil
}

// openRequestTx records a request in the transaction of the entry that says so, and says in
// r what it has found out: whether the person is still there, which older request it is
// linked to, and the number of a complaint. It is the whole of what is done about somebody
// unknown too.
func openRequestTx(ctx context.Context, tx pgx.Tx, r *dsar.Request, step *dsar.Step, wrapped []byte) error {
	// Somebody unknown is looked for as well, under an id that nobody has.
	asked := r.DataSubject
	if asked.IsZero() {
		asked = privacy.DataSubjectID(r.ID)
	}
	if _, err := tx.Exec(ctx, sqlRequestTurn, turns(asked, r.Tags)); err != nil {
		return translate(err)
	}
	var person [16]byte
	err := tx.QueryRow(ctx, sqlRequestPerson, [16]byte(asked)).Scan(&person)
	if errors.Is(err, pgx.ErrNoRows) {
		r.DataSubject = privacy.DataSubjectID{}
	} else if err != nil {
		return translate(err)
	}
	var older [16]byte
	err = tx.QueryRow(ctx, sqlRequestOlder, [16]byte(asked), r.Tags, string(r.Kind)).Scan(&older)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return translate(err)
	}
	r.DuplicateOf = older
	if r.Kind == dsar.Complaint {
		r.Number.Year = step.At.UTC().Year()
		if err := tx.QueryRow(ctx, sqlRequestNumber, r.Number.Year).Scan(&r.Number.Count); err != nil {
			return translate(err)
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlRequestOpen, [16]byte(r.ID), string(r.Kind), string(r.State), r.Regime, string(r.Jurisdiction), r.Language,
		optionalID(r.DataSubject), r.Tags, string(r.Via), r.ReceivedAt, optionalTime(r.StartedAt), optionalTime(r.AcknowledgeBy),
		optionalTime(r.DueAt), optionalID(r.DuplicateOf), r.OpenedBy[:], r.Sealed, r.Version, optionalText(string(r.Category)),
		pgtype.Int4{Int32: int32(r.Number.Year), Valid: !r.Number.IsZero()}, pgtype.Int8{Int64: r.Number.Count, Valid: !r.Number.IsZero()})
	batch.Queue(sqlRequestKeyAdd, [16]byte(r.ID), wrapped)
	queueStep(batch, step)
	return translate(tx.SendBatch(ctx, batch).Close())
}

// turns are the locks that an opening takes, in an order in which nobody waits for
// somebody who waits for them.
func turns(person privacy.DataSubjectID, tags [][16]byte) []int64 {
	keys := []int64{int64(binary.BigEndian.Uint64(person[:8]))}
	for _, tag := range tags {
		keys = append(keys, int64(binary.BigEndian.Uint64(tag[:8])))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func queueStep(batch *pgx.Batch, step *dsar.Step) {
	batch.Queue(sqlRequestStepAdd, [16]byte(step.Request), step.Number, string(step.Action), string(step.From), string(step.To),
		step.At, step.By[:], step.Sealed)
}

// A step may take the person away and never bring one back, who may have been erased since
// the step was prepared. The step is recorded only if the request has not moved on.
const sqlRequestTake = `
with taken as (
	update dsar.request
	set state = $3, data_subject_id = case when $4::uuid is null then null else data_subject_id end, started_at = $5, acknowledge_by = $6, due_at = $7, extended_at = $8, paused_at = $9,
		verified_at = $10, erased_at = $11, closed_at = $12, denial_reason = $13, version = $14, outcome = $22
	where request_id = $1 and version = $2
	returning request_id
)
insert into dsar.request_step (request_id, step, action, from_state, to_state, at, by_actor, sealed)
select request_id, $15, $16, $17, $18, $19, $20, $21 from taken`

const sqlRequestPause = `
insert into dsar.request_pause (request_id, ground, from_at, until_at)
values ($1, $2, $3, $4)
on conflict (request_id, ground) do update set until_at = excluded.until_at
where request_pause.until_at is distinct from excluded.until_at`

// Take implements [dsar.RequestStore].
func (s *RequestStore) Take(ctx context.Context, change dsar.Change) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		return TakeTx(ctx, tx, change)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("recording step of a request: %w", err)
	}
	return receipt, nil
}

// TakeTx commits a step with what another store does in the same transaction, which must
// be the one of the change's event. It fails with [privacy.ErrConflict] if somebody else
// took a step since the change was prepared: then the transaction must not commit.
func TakeTx(ctx context.Context, tx pgx.Tx, change dsar.Change) error {
	batch, taken := &pgx.Batch{}, int64(0)
	queueTake(batch, &change, &taken)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return translate(err)
	}
	return checkTaken(taken)
}

// queueTake takes a step as part of a batch; the caller passes what it leaves in taken to
// checkTaken.
func queueTake(batch *pgx.Batch, change *dsar.Change, taken *int64) {
	r, step := &change.After, &change.Step
	batch.Queue(sqlRequestTake, [16]byte(r.ID), change.Before, string(r.State), optionalID(r.DataSubject),
		optionalTime(r.StartedAt), optionalTime(r.AcknowledgeBy), optionalTime(r.DueAt), optionalTime(r.ExtendedAt), optionalTime(r.PausedAt),
		optionalTime(r.VerifiedAt), optionalTime(r.ErasedAt), optionalTime(r.ClosedAt), optionalText(string(r.Denial)), r.Version,
		step.Number, string(step.Action), string(step.From), string(step.To), step.At, step.By[:], step.Sealed, optionalText(string(r.Outcome)),
	).Exec(func(tag pgconn.CommandTag) error {
		*taken = tag.RowsAffected()
		return nil
	})
	for _, pause := range r.Pauses {
		batch.Queue(sqlRequestPause, [16]byte(r.ID), string(pause.Ground), pause.From, optionalTime(pause.Until))
	}
}

func checkTaken(taken int64) error {
	if taken == 0 {
		return fmt.Errorf("taking a step of a request that has moved on: %w", privacy.ErrConflict)
	}
	return nil
}

// optionalTime is null for the zero value.
func optionalTime(at time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: at, Valid: !at.IsZero()}
}

// optionalText is null for the empty text.
func optionalText(text string) pgtype.Text { return pgtype.Text{String: text, Valid: text != ""} }

// optionalID is null for the zero value.
func optionalID[T ~[16]byte](id T) pgtype.UUID {
	return pgtype.UUID{Bytes: id, Valid: id != T{}}
}
