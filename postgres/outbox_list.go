package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

var _ outbox.Registry = (*OutboxStore)(nil)

const sqlDeliveryList = `
select delivery_id, kind, destination, topic, request_id, state, attempts, coalesce(failure, ''),
    enqueued_at, next_attempt_at, gives_up_at, settled_at
from dsar.delivery
where ($1::uuid is null or request_id = $1)
    and ($2::text = '' or state = $2)
    and ($3::text = '' or destination = $3)
order by enqueued_at desc, delivery_id
limit $4`

// List implements [outbox.Registry].
func (s *OutboxStore) List(ctx context.Context, filter outbox.Filter, limit int) ([]outbox.Delivery, error) {
	rows, err := s.db.pool.Query(ctx, sqlDeliveryList, uuidOrNull(filter.Request), string(filter.State), filter.Destination, limit)
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (outbox.Delivery, error) { return readDelivery(row) })
	if err != nil {
		return nil, fmt.Errorf("listing deliveries: %w", translate(err))
	}
	return list, nil
}

const sqlDeliveryCount = `
select count(*) filter (where state = 'pending'), count(*) filter (where state = 'dead')
from dsar.delivery
where state in ('pending', 'dead')`

// Count implements [outbox.Registry].
func (s *OutboxStore) Count(ctx context.Context) (pending, dead int64, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlDeliveryCount).Scan(&pending, &dead); err != nil {
		return 0, 0, fmt.Errorf("counting deliveries: %w", translate(err))
	}
	return pending, dead, nil
}

const sqlDeliveryRevive = `
update dsar.delivery
set state = 'pending', settled_at = null, next_attempt_at = clock_timestamp(), gives_up_at = clock_timestamp() + $2::interval
where delivery_id = $1 and state = 'dead' and sealed is not null`

// Revive implements [outbox.Registry].
func (s *OutboxStore) Revive(ctx context.Context, id outbox.ID, patience time.Duration, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlDeliveryRevive, [16]byte(id), patience)
		if err == nil && tag.RowsAffected() == 0 {
			return privacy.ErrConflict
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("reviving delivery: %w", err)
	}
	return receipt, nil
}
