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

const requestFilter = `
	and ($1::text is null or r.kind = $1)
	and ($2::text is null or r.state = $2)
	and ($3::uuid is null or r.data_subject_id = $3)
	and ($4::timestamptz is null or r.due_at < $4)`

// What is due first comes first; the index on this order is read as far as the page goes.
const sqlRequestQueue = `
select ` + requestColumns + `
from dsar.request r
where r.closed_at is null
	and (coalesce(r.due_at, timestamptz 'infinity'), r.received_at, r.request_id)
		> (coalesce($5::text::timestamptz, timestamptz '-infinity'), coalesce($6, timestamptz '-infinity'), coalesce($7, '00000000-0000-0000-0000-000000000000'::uuid))` + requestFilter + `
order by coalesce(r.due_at, timestamptz 'infinity'), r.received_at, r.request_id
limit $8`

const sqlRequestAll = `
select ` + requestColumns + `
from dsar.request r
where (r.received_at, r.request_id) < (coalesce($5, timestamptz 'infinity'), coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))` + requestFilter + `
order by r.received_at desc, r.request_id desc
limit $7`

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
	picked := []any{
		optionalText(string(filter.Kind)), optionalText(string(filter.State)), optionalID(filter.DataSubject), optionalTime(filter.Overdue),
	}
	var rows pgx.Rows
	var err error
	if filter.All {
		rows, err = s.db.pool.Query(ctx, sqlRequestAll, append(picked, received, after, limit)...)
	} else {
		rows, err = s.db.pool.Query(ctx, sqlRequestQueue, append(picked, due, received, after, limit)...)
	}
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
