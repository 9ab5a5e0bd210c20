package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// fillQueue records n requests by SQL: of seven one is closed, of eleven one waits, and
// many are due at the same moment.
func fillQueue(t testing.TB, room *requestRoom, n int) {
	t.Helper()
	_, err := room.database.OwnerPool(t).Exec(t.Context(), `
		insert into dsar.request (request_id, kind, state, regime, jurisdiction, language, received_via, received_at, due_at, closed_at, opened_by)
		select gen_random_uuid(), (array['access', 'erasure', 'objection'])[1 + n % 3], case when n % 7 = 0 then 'fulfilled' else 'received' end,
			'gdpr_cz', 'CZ', 'cs', 'api', timestamptz '2026-01-01' + n * interval '1 second',
			case when n % 11 <> 0 then timestamptz '2026-02-01' + (n * 7919 % 90) * interval '1 day' end,
			case when n % 7 = 0 then timestamptz '2026-06-01' end, '\x000102030405060708090a0b0c0d0e0f'
		from generate_series(1, $1) n`, n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.database.OwnerPool(t).Exec(t.Context(), `analyze dsar.request`); err != nil {
		t.Fatal(err)
	}
}

func TestQueue(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	n := 100_000
	if testing.Short() {
		n = 3_000
	}
	fillQueue(t, room, n)
	began := time.Now()
	page, err := room.service.Queue(t.Context(), requestOfficer, dsar.Filter{}, 50)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the first page of %d requests took %v", n, time.Since(began))
	began = time.Now()
	if _, err = room.service.Queue(t.Context(), requestOfficer, dsar.Filter{}, 50); err != nil {
		t.Fatal(err)
	}
	t.Logf("again %v", time.Since(began))
	open, waiting := int64(n-n/7), int64(n/11-n/77)
	if page.Totals.Open != open || page.Totals.Waiting != waiting || page.Totals.Overdue == 0 || !page.More || len(page.Requests) != 50 {
		t.Errorf("totals %+v of %d, %d listed", page.Totals, n, len(page.Requests))
	}
	// Page by page everything is listed once and in order.
	seen := map[dsar.RequestID]bool{}
	var last dsar.Request
	filter := dsar.Filter{}
	for {
		page, err := room.service.Queue(t.Context(), requestOfficer, filter, 999)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Requests {
			if seen[r.ID] || r.State.Closed() {
				t.Fatalf("%s is listed twice, or is closed", r.ID)
			}
			if len(seen) > 0 && comesBefore(&r, &last) {
				t.Fatalf("%v and %v are not in order", last.DueAt, r.DueAt)
			}
			seen[r.ID], last = true, r
		}
		if !page.More {
			break
		}
		filter.After = last.ID
	}
	if int64(len(seen)) != open {
		t.Errorf("%d of %d were listed", len(seen), open)
	}
	for name, c := range map[string]struct {
		filter dsar.Filter
		fits   func(r *dsar.Request) bool
	}{
		"kind":    {dsar.Filter{Kind: dsar.Erasure}, func(r *dsar.Request) bool { return r.Kind == dsar.Erasure && r.ClosedAt.IsZero() }},
		"state":   {dsar.Filter{State: dsar.Fulfilled, All: true}, func(r *dsar.Request) bool { return r.State == dsar.Fulfilled }},
		"overdue": {dsar.Filter{Overdue: time.Now()}, func(r *dsar.Request) bool { return r.IsOverdue(requestNoon) }},
	} {
		page, err := room.service.Queue(t.Context(), requestOfficer, c.filter, 100)
		if err != nil || len(page.Requests) != 100 {
			t.Errorf("%s: %d requests, %v", name, len(page.Requests), err)
		}
		for i := range page.Requests {
			if !c.fits(&page.Requests[i]) {
				t.Errorf("%s: %+v", name, page.Requests[i])
			}
		}
	}
	// All of them, the newest first.
	page, err = room.service.Queue(t.Context(), requestOfficer, dsar.Filter{All: true}, 10)
	if err != nil || !page.Requests[0].ReceivedAt.After(page.Requests[9].ReceivedAt) {
		t.Errorf("not the newest first: %v", err)
	}
	next, err := room.service.Queue(t.Context(), requestOfficer, dsar.Filter{All: true, After: page.Requests[9].ID}, 10)
	if err != nil || !next.Requests[0].ReceivedAt.Before(page.Requests[9].ReceivedAt) {
		t.Errorf("the next page: %v", err)
	}
}

func comesBefore(a, b *dsar.Request) bool {
	switch {
	case a.DueAt.IsZero() != b.DueAt.IsZero():
		return b.DueAt.IsZero()
	case !a.DueAt.Equal(b.DueAt):
		return a.DueAt.Before(b.DueAt)
	}
	return a.ReceivedAt.Before(b.ReceivedAt)
}

// TestQueueIsReadFromItsIndex: neither a sort nor a whole table stands behind a page.
func TestQueueIsReadFromItsIndex(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	fillQueue(t, room, 2_000)
	conn, err := room.db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, text := range map[string]string{"queue": sqlRequestQueue, "all": sqlRequestAll} {
		arguments := "null, null, 50"
		if name == "queue" {
			arguments = "null, null, null, 50"
		}
		plan := explainPlan(t.Context(), t, conn.Conn(), name, text, arguments)
		if strings.Contains(plan, "Sort") || strings.Contains(plan, "Seq Scan") || !strings.Contains(plan, map[string]string{"queue": "request_queue", "all": "request_received_at"}[name]) {
			t.Errorf("%s is read by:\n%s", name, plan)
		}
	}
}

func explainPlan(ctx context.Context, t *testing.T, conn *pgx.Conn, name, text, arguments string) string {
	t.Helper()
	if _, err := conn.Prepare(ctx, "test_"+name, text); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(`explain execute "test_%s"(%s)`, name, arguments), pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestQueueRefuses(t *testing.T) {
	t.Parallel()
	room := newRequestRoom(t)
	for _, by := range []privacy.Principal{requestShop, {ID: "i", Role: privacy.RoleIngest}, {Role: privacy.RoleDPO}, {}} {
		if _, err := room.service.Queue(t.Context(), by, dsar.Filter{}, 10); !errors.Is(err, privacy.ErrForbidden) {
			t.Errorf("%s lists requests: %v", by.Role, err)
		}
	}
	for _, limit := range []int{0, -1, dsar.MaxListed + 1} {
		if _, err := room.service.Queue(t.Context(), requestOfficer, dsar.Filter{}, limit); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("a page of %d: %v", limit, err)
		}
	}
	if _, err := room.service.Queue(t.Context(), requestOfficer, dsar.Filter{After: dsar.RequestID{9}}, 10); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("after a request that is not there: %v", err)
	}
}
