package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar"
)

// The page begins after a request, by what the order goes by. One that has been closed
// since still has its place.
const sqlRequestPlace = `
select coalesce(due_at, timestamptz 'infinity')::text, received_at from dsar.request where request_id = $1`

// The pages that nothing is picked for have statements of their own: the index on their
// order is read as far as the page goes, where a condition that may not apply would have
// the planner expect next to nothing and sort all of it.
const requestQueueOpen = `
select ` + requestColumns + `
from dsar.request r
where r.closed_at is null
	and (coalesce(r.due_at, timestamptz 'infinity'), r.received_at, r.request_id)
		> (coalesce($1::text::timestamptz, timestamptz '-infinity'), coalesce($2, timestamptz '-infinity'), coalesce($3, '00000000-0000-0000-0000-000000000000'::uuid))`

const requestQueueAll = `
select ` + requestColumns + `
from dsar.request r
where (r.received_at, r.request_id) < (coalesce($1, timestamptz 'infinity'), coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))`

const (
	requestOrderOpen = `
order by coalesce(r.due_at, timestamptz 'infinity'), r.received_at, r.request_id`
	requestOrderAll = `
order by r.received_at desc, r.request_id desc`
)

const sqlRequestQueue = requestQueueOpen + requestOrderOpen + `
limit $4`

const sqlRequestAll = requestQueueAll + requestOrderAll + `
limit $3`

const sqlRequestQueuePicked = requestQueueOpen + `
	and ($5::text is null or r.kind = $5)
	and ($6::text is null or r.state = $6)
	and ($7::uuid is null or r.data_subject_id = $7)
	and ($8::timestamptz is null or r.due_at < $8)
	and ($9::text is null or r.category = $9)` + requestOrderOpen + `
limit $4`

const sqlRequestAllPicked = requestQueueAll + `
	and ($4::text is null or r.kind = $4)
	and ($5::text is null or r.state = $5)
	and ($6::uuid is null or r.data_subject_id = $6)
	and ($7::timestamptz is null or r.due_at < $7)
	and ($8::text is null or r.category = $8)` + requestOrderAll + `
limit $3`

// Queue implements [dsar.RequestStore].
func (s *RequestStore) Queue(ctx context.Context, filter dsar.Filter, limit int) ([]dsar.Request, error) {
	var due *string
	var received *time.Time
	after := optionalID(filter.After)
	if after.Valid {
		if err := s.db.pool.QueryRow(ctx, sqlRequestPlace, after).Scan(&due, &received); err != nil {
			return nil, fmt.Errorf("finding place in the queue: %w", translate(err))
		}
	}
	statement, arguments := sqlRequestQueue, []any{due, received, after, limit}
	if filter.All {
		statement, arguments = sqlRequestAll, []any{received, after, limit}
	}
	if picks := (dsar.Filter{Kind: filter.Kind, State: filter.State, DataSubject: filter.DataSubject, Overdue: filter.Overdue, Category: filter.Category}); picks != (dsar.Filter{}) {
		if statement = sqlRequestQueuePicked; filter.All {
			statement = sqlRequestAllPicked
		}
		arguments = append(arguments, optionalText(string(filter.Kind)), optionalText(string(filter.State)),
			optionalID(filter.DataSubject), optionalTime(filter.Overdue), optionalText(string(filter.Category)))
	}
	rows, err := s.db.pool.Query(ctx, statement, arguments...)
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.Request, error) { return readRequest(row) })
	if err != nil {
		return nil, fmt.Errorf("listing requests: %w", translate(err))
	}
	return found, nil
}

const sqlRequestTotals = `
select count(*), count(*) filter (where coalesce(due_at, timestamptz 'infinity') < $1),
	count(*) filter (where coalesce(due_at, timestamptz 'infinity') = timestamptz 'infinity')
from dsar.request
where closed_at is null`

// Totals implements [dsar.RequestStore].
func (s *RequestStore) Totals(ctx context.Context, at time.Time) (dsar.Totals, error) {
	var t dsar.Totals
	if err := s.db.pool.QueryRow(ctx, sqlRequestTotals, at).Scan(&t.Open, &t.Overdue, &t.Waiting); err != nil {
		return dsar.Totals{}, fmt.Errorf("counting requests: %w", translate(err))
	}
	return t, nil
}
