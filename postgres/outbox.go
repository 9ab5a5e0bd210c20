package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

const sqlDeliveryAddKey = `
insert into keyring.delivery_key (delivery_id, wrapped)
values ($1, $2)`

const sqlDeliveryAdd = `
insert into dsar.delivery (
    delivery_id, kind, destination, topic, request_id, state, sealed, enqueued_at, next_attempt_at, gives_up_at, settled_at
)
select $1, $2, $3, $4, $5, $6, $7, now.at, now.at + $8::interval, now.at + $9::interval,
    case when $6::text = 'void' then now.at end
from (select clock_timestamp() as at offset 0) now`

// EnqueueTx adds a delivery in the transaction of the change that it follows from: it is
// sent if and only if that commits. The error wraps [privacy.ErrConflict] if there is one
// of its id.
func EnqueueTx(ctx context.Context, tx pgx.Tx, d outbox.Delivery) error {
	if err := d.Check(); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlDeliveryAddKey, [16]byte(d.ID), d.Wrapped)
	batch.Queue(sqlDeliveryAdd, [16]byte(d.ID), string(d.Kind), d.Destination, d.Topic, uuidOrNull(d.Request), string(d.State),
		d.Sealed, d.Delay, d.Patience)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("enqueuing delivery: %w", translate(err))
	}
	return nil
}

func uuidOrNull(id [16]byte) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: id != [16]byte{}} }

// DeliveryHook is told of a delivery in the transaction that notes its end: it arrived, and
// the receiver gave this answer, or it was given up. What it changes commits with that, or
// neither does. An error leaves the delivery pending.
type DeliveryHook func(ctx context.Context, tx pgx.Tx, d outbox.Delivery, state outbox.State, answer []byte) error

// OutboxStore keeps deliveries.
type OutboxStore struct {
	db  *DB
	log *AuditLog

	mu    sync.RWMutex
	hooks map[outbox.Kind]DeliveryHook
}

var _ outbox.Store = (*OutboxStore)(nil)

// NewOutboxStore returns the outbox of db, with entries in log.
func NewOutboxStore(db *DB, log *AuditLog) *OutboxStore {
	return &OutboxStore{db: db, log: log, hooks: map[outbox.Kind]DeliveryHook{}}
}

// OnEnd has hook told of each delivery of a kind that ends, from now on.
func (s *OutboxStore) OnEnd(kind outbox.Kind, hook DeliveryHook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks[kind] = hook
}

func (s *OutboxStore) ended(ctx context.Context, tx pgx.Tx, d outbox.Delivery, state outbox.State, answer []byte) error {
	s.mu.RLock()
	hook := s.hooks[d.Kind]
	s.mu.RUnlock()
	if hook == nil {
		return nil
	}
	return hook(ctx, tx, d, state, answer)
}

const sqlDeliveryClaim = `
update dsar.delivery d
set attempts = d.attempts + 1, next_attempt_at = clock_timestamp() + $3::interval
from (
    select q.delivery_id
    from dsar.delivery q
    where q.state = 'pending' and q.kind = $1 and q.next_attempt_at <= clock_timestamp()
    order by q.next_attempt_at, q.delivery_id
    limit $2
    for update skip locked
) due
left join keyring.delivery_key k on k.delivery_id = due.delivery_id
where d.delivery_id = due.delivery_id
returning d.delivery_id, d.kind, d.destination, d.topic, d.request_id, d.state, d.attempts, coalesce(d.failure, ''),
    d.enqueued_at, d.next_attempt_at, d.gives_up_at, d.settled_at, k.wrapped, d.sealed, clock_timestamp()`

// Claim implements [outbox.Store]. Two workers never wait for each other.
func (s *OutboxStore) Claim(ctx context.Context, kind outbox.Kind, limit int, lease time.Duration) ([]outbox.Delivery, time.Time, error) {
	rows, err := s.db.pool.Query(ctx, sqlDeliveryClaim, string(kind), limit, lease)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claiming deliveries: %w", translate(err))
	}
	var at time.Time
	claimed, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (outbox.Delivery, error) {
		var wrapped, sealed []byte
		d, err := readDelivery(row, &wrapped, &sealed, &at)
		d.Wrapped, d.Sealed = wrapped, sealed
		return d, err
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("claiming deliveries: %w", translate(err))
	}
	return claimed, at, nil
}

// readDelivery reads the columns of a delivery and what stands behind them.
func readDelivery(row pgx.CollectableRow, more ...any) (outbox.Delivery, error) {
	var d outbox.Delivery
	var request pgtype.UUID
	var settled *time.Time
	columns := []any{
		(*[16]byte)(&d.ID), &d.Kind, &d.Destination, &d.Topic, &request, &d.State, &d.Attempts, &d.Failure,
		&d.EnqueuedAt, &d.NextAttemptAt, &d.GivesUpAt, &settled,
	}
	err := row.Scan(append(columns, more...)...)
	d.Request = request.Bytes
	d.EnqueuedAt, d.NextAttemptAt, d.GivesUpAt = d.EnqueuedAt.UTC(), d.NextAttemptAt.UTC(), d.GivesUpAt.UTC()
	if settled != nil {
		d.SettledAt = settled.UTC()
	}
	return d, err
}

// end commits the end of a delivery with its entry, or without one if the event has no kind.
func (s *OutboxStore) end(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) error {
	if event.Kind == "" {
		return s.db.inTx(ctx, func(tx pgx.Tx) error { return change(ctx, tx) })
	}
	_, err := s.log.AppendTx(ctx, event, change)
	return err
}

const sqlDeliveryClose = `
select dsar.close_delivery($1, $2)`

// Close implements [outbox.Store].
func (s *OutboxStore) Close(ctx context.Context, d outbox.Delivery, answer []byte, event audit.Event) error {
	err := s.end(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var closed bool
		if err := tx.QueryRow(ctx, sqlDeliveryClose, [16]byte(d.ID), d.Attempts).Scan(&closed); err != nil {
			return translate(err)
		}
		if !closed {
			return privacy.ErrConflict
		}
		return s.ended(ctx, tx, d, outbox.Delivered, answer)
	})
	if err != nil {
		return fmt.Errorf("noting that a delivery arrived: %w", err)
	}
	return nil
}

const sqlDeliveryBury = `
update dsar.delivery
set state = 'dead', failure = $3, settled_at = clock_timestamp()
where delivery_id = $1 and attempts = $2 and state = 'pending'`

// Bury implements [outbox.Store].
func (s *OutboxStore) Bury(ctx context.Context, d outbox.Delivery, failure string, event audit.Event) error {
	err := s.end(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlDeliveryBury, [16]byte(d.ID), d.Attempts, failure)
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() == 0 {
			return privacy.ErrConflict
		}
		return s.ended(ctx, tx, d, outbox.Dead, nil)
	})
	if err != nil {
		return fmt.Errorf("noting that a delivery was given up: %w", err)
	}
	return nil
}

const sqlDeliveryPostpone = `
update dsar.delivery
set failure = $3, next_attempt_at = clock_timestamp() + $4::interval
where delivery_id = $1 and attempts = $2 and state = 'pending'`

// Postpone implements [outbox.Store].
func (s *OutboxStore) Postpone(ctx context.Context, d outbox.Delivery, failure string, pause time.Duration) error {
	if _, err := s.db.pool.Exec(ctx, sqlDeliveryPostpone, [16]byte(d.ID), d.Attempts, failure, pause); err != nil {
		return fmt.Errorf("postponing delivery: %w", translate(err))
	}
	return nil
}

const sqlDeliveryForget = `
select dsar.forget_deliveries(clock_timestamp() - $1::interval, $2)`

// Forget implements [outbox.Store].
func (s *OutboxStore) Forget(ctx context.Context, age time.Duration, limit int) (int64, error) {
	var n int64
	if err := s.db.pool.QueryRow(ctx, sqlDeliveryForget, age, limit).Scan(&n); err != nil {
		return 0, fmt.Errorf("forgetting deliveries: %w", translate(err))
	}
	return n, nil
}
