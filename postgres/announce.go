package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/dsar/outbox"
)

// Announcer makes the deliveries by which subscribers are told of records.
type Announcer func(records []consent.Record, to []subscriber.Subscriber) ([]outbox.Delivery, error)

// Announce has subscribers told of every record that is added to the ledger over db from now
// on, whoever adds it. It is for those who open the database, before they use it. Without it
// nobody is told.
func (db *DB) Announce(a Announcer) {
	db.TellConsents(func(ctx context.Context, tx pgx.Tx, added []consent.Record) error {
		return announceTx(ctx, tx, a, added)
	})
}

const sqlSubscriberTold = `
select subscriber_id, recipient, url, purposes, sealed_secret, added_by, added_at, removed_at
from consent.subscriber
where removed_at is null and purposes && $1::text[]
order by subscriber_id`

// announceTx adds what subscribers are to be told of records in the transaction that adds
// these: a change and what is told of it are both there or neither.
func announceTx(ctx context.Context, tx pgx.Tx, announce Announcer, records []consent.Record) error {
	var purposes []string
	for i := range records {
		if p := string(records[i].Purpose); !slices.Contains(purposes, p) {
			purposes = append(purposes, p)
		}
	}
	rows, err := tx.Query(ctx, sqlSubscriberTold, purposes)
	if err != nil {
		return fmt.Errorf("finding who is told of consents: %w", translate(err))
	}
	to, err := pgx.CollectRows(rows, readSubscriber)
	if err != nil {
		return fmt.Errorf("finding who is told of consents: %w", translate(err))
	}
	if len(to) == 0 {
		return nil
	}
	deliveries, err := announce(records, to)
	if err != nil {
		return err
	}
	return enqueueAllTx(ctx, tx, deliveries)
}

const sqlDeliveryAddKeys = `
insert into keyring.delivery_key (delivery_id, wrapped)
select q.delivery_id, q.wrapped
from unnest($1::uuid[], $2::bytea[]) as q (delivery_id, wrapped)`

const sqlDeliveryAddAll = `
insert into dsar.delivery (
    delivery_id, kind, destination, topic, state, sealed, enqueued_at, next_attempt_at, gives_up_at
)
select q.delivery_id, q.kind, q.destination, q.topic, 'pending', q.sealed, now.at, now.at + q.delay, now.at + q.patience
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::interval[], $7::interval[])
    as q (delivery_id, kind, destination, topic, sealed, delay, patience),
    (select clock_timestamp() as at offset 0) now`

// enqueueAllTx is [EnqueueTx] for many pending deliveries that belong to no request.
func enqueueAllTx(ctx context.Context, tx pgx.Tx, deliveries []outbox.Delivery) error {
	n := len(deliveries)
	if n == 0 {
		return nil
	}
	ids, wrapped, sealed := make([][16]byte, n), make([][]byte, n), make([][]byte, n)
	kinds, destinations, topics := make([]string, n), make([]string, n), make([]string, n)
	delays, patiences := make([]time.Duration, n), make([]time.Duration, n)
	for i := range deliveries {
		d := &deliveries[i]
		if err := d.Check(); err != nil {
			return err
		}
		ids[i], wrapped[i], sealed[i] = d.ID, d.Wrapped, d.Sealed
		kinds[i], destinations[i], topics[i] = string(d.Kind), d.Destination, d.Topic
		delays[i], patiences[i] = d.Delay, d.Patience
	}
	batch := &pgx.Batch{}
	batch.Queue(sqlDeliveryAddKeys, ids, wrapped)
	batch.Queue(sqlDeliveryAddAll, ids, kinds, destinations, topics, sealed, delays, patiences)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("enqueuing deliveries: %w", translate(err))
	}
	return nil
}
