package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// RequestQueue lists requests; [dsar.Service] does.
type RequestQueue interface {
	Queue(ctx context.Context, by privacy.Principal, filter dsar.Filter, limit int) (dsar.Page, error)
}

// queuePage is how many requests a page has, and queueRounds how often each is asked for.
const (
	queuePage   = 100
	queueRounds = 50
)

// fillQueue writes open requests as a year of a busy house leaves them: most are running,
// a third waits for proof of identity, one in ten is late, and as many again are closed.
const fillQueue = `
insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, tags, received_via,
	received_at, started_at, due_at, closed_at, opened_by)
select gen_random_uuid(), (array['access', 'portability', 'rectification', 'erasure', 'restriction', 'objection'])[1 + n % 6],
	case when n > $1 then 'fulfilled' when n % 3 = 0 then 'identity_pending' else 'in_progress' end,
	'gdpr_cz', 'CZ', 'cs', array[gen_random_uuid()], 'api', received, received,
	case when n > $1 or n % 3 > 0 then received + interval '31 days' end,
	case when n > $1 then received + interval '10 days' end, decode(repeat('ab', 16), 'hex')
from (select n, now() - (n % 35) * interval '1 day' - n * interval '1 millisecond' as received from generate_series(1, 2 * $1::int) n) fill`

// measureQueue measures what it takes to open the queue: the first page with the totals,
// as a data protection officer sees it first, a page from the middle, and what is late.
func measureQueue(ctx context.Context, config DSARConfig) ([]Row, error) {
	conn, err := pgx.Connect(ctx, config.OwnerURL)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	config.Progress("filling the queue", 0, 1)
	if _, err := conn.Exec(ctx, fillQueue, config.Requests); err != nil {
		return nil, fmt.Errorf("filling the queue: %w", err)
	}
	if _, err := conn.Exec(ctx, "vacuum analyze dsar.request"); err != nil {
		return nil, fmt.Errorf("analyzing the queue: %w", err)
	}
	dpo := privacy.Principal{ID: "bench", Role: privacy.RoleDPO}
	var middle dsar.RequestID
	if err := conn.QueryRow(ctx, `
		select request_id from dsar.request where closed_at is null
		order by coalesce(due_at, timestamptz 'infinity'), received_at, request_id offset $1 limit 1`, config.Requests/2).Scan(&middle); err != nil {
		return nil, fmt.Errorf("finding the middle: %w", err)
	}
	var rows []Row
	for _, page := range []struct {
		what   string
		filter dsar.Filter
	}{
		{"the first page", dsar.Filter{}},
		{"a page from the middle", dsar.Filter{After: middle}},
		{"what is late", dsar.Filter{Overdue: time.Now()}},
		{"the newest, closed ones as well", dsar.Filter{All: true}},
	} {
		usual, slowest, err := openQueue(ctx, config, dpo, page.filter)
		if err != nil {
			return nil, err
		}
		rows = append(rows, Row{
			What: fmt.Sprintf("opening the queue of %d requests: %s", config.Requests, page.what), Figure: usual.Seconds() * 1000, Unit: "ms",
			Note: fmt.Sprintf("median of %d, the slowest %s; %d requests a page, with the totals", queueRounds, milliseconds(slowest), queuePage),
		}.atMost(200))
	}
	return rows, nil
}

// openQueue opens a page several times and returns the median and the slowest.
func openQueue(ctx context.Context, config DSARConfig, by privacy.Principal, filter dsar.Filter) (usual, slowest time.Duration, err error) {
	times := make([]time.Duration, queueRounds)
	for i := range times {
		began := time.Now()
		page, err := config.Queue.Queue(ctx, by, filter, queuePage)
		times[i] = time.Since(began)
		if err != nil {
			return 0, 0, err
		}
		if len(page.Requests) == 0 || page.Totals.Open < int64(config.Requests) {
			return 0, 0, errors.New("the queue does not have what was put into it")
		}
	}
	slices.Sort(times)
	return times[len(times)/2], times[len(times)-1], nil
}
