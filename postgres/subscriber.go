package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/subscriber"
	"github.com/mahrem/mahrem/privacy"
)

// SubscriberStore keeps who is told when choices change.
type SubscriberStore struct {
	db  *DB
	log transactor
}

var _ subscriber.Registry = (*SubscriberStore)(nil)

// NewSubscriberStore returns a registry in db whose changes commit with their entries in log.
func NewSubscriberStore(db *DB, log *AuditLog) *SubscriberStore { return &SubscriberStore{db, log} }

const sqlSubscriberAdd = `
insert into consent.subscriber (subscriber_id, recipient, url, purposes, sealed_secret, added_by, added_at)
values ($1, $2, $3, $4, $5, $6, clock_timestamp())`

// Add implements [subscriber.Registry].
func (s *SubscriberStore) Add(ctx context.Context, who subscriber.Subscriber, event audit.Event) (audit.Receipt, error) {
	if err := who.Check(); err != nil {
		return audit.Receipt{}, err
	}
	return changeOne(ctx, s.log, "adding subscriber", event, privacy.ErrConflict, sqlSubscriberAdd, who.ID, string(who.Recipient), who.URL,
		texts(who.Purposes), who.SealedSecret, who.AddedBy[:])
}

const sqlSubscriberRemove = `
update consent.subscriber
set removed_at = greatest(clock_timestamp(), added_at)
where subscriber_id = $1 and removed_at is null`

// Remove implements [subscriber.Registry].
func (s *SubscriberStore) Remove(ctx context.Context, id string, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "removing subscriber", event, privacy.ErrNotFound, sqlSubscriberRemove, id)
}

func readSubscriber(row pgx.CollectableRow) (subscriber.Subscriber, error) {
	var s subscriber.Subscriber
	var purposes []string
	var addedBy []byte
	var removed *time.Time
	err := row.Scan(&s.ID, &s.Recipient, &s.URL, &purposes, &s.SealedSecret, &addedBy, &s.AddedAt, &removed)
	if err == nil && len(addedBy) != len(s.AddedBy) {
		err = privacy.ErrDamaged
	}
	if err != nil {
		return subscriber.Subscriber{}, err
	}
	for _, p := range purposes {
		s.Purposes = append(s.Purposes, privacy.Purpose(p))
	}
	s.AddedBy, s.AddedAt = [16]byte(addedBy), s.AddedAt.UTC()
	if removed != nil {
		s.RemovedAt = removed.UTC()
	}
	return s, nil
}

const sqlSubscriberFind = `
select subscriber_id, recipient, url, purposes, sealed_secret, added_by, added_at, removed_at
from consent.subscriber
where subscriber_id = $1`

// Find implements [subscriber.Registry].
func (s *SubscriberStore) Find(ctx context.Context, id string) (subscriber.Subscriber, error) {
	return queryFirst(ctx, s.db, "finding subscriber", readSubscriber, sqlSubscriberFind, id)
}

const sqlSubscriberList = `
select subscriber_id, recipient, url, purposes, sealed_secret, added_by, added_at, removed_at
from consent.subscriber
where removed_at is null or $1
order by removed_at is not null, subscriber_id`

// List implements [subscriber.Registry].
func (s *SubscriberStore) List(ctx context.Context, all bool) ([]subscriber.Subscriber, error) {
	return queryAll(ctx, s.db, "listing subscribers", readSubscriber, sqlSubscriberList, all)
}
