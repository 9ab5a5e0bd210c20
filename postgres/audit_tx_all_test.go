package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// newChanged makes a table that changes of a test write to.
func newChanged(t *testing.T) (*AuditLog, *DB, func() int) {
	t.Helper()
	db, database := newDB(t)
	owner := database.OwnerPool(t)
	if _, err := owner.Exec(t.Context(), `
		create table changed (n bigint);
		grant insert on changed to mahrem_app`); err != nil {
		t.Fatal(err)
	}
	return newAuditLog(t, db, auditConfig()), db, func() int {
		t.Helper()
		var n int
		if err := owner.QueryRow(t.Context(), `select count(*) from changed`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
}

// TestAppendAllTx mixes changes with several entries, with one, with none and single appends,
// by two processes: the entries of one change stand one after the other, every receipt is
// that of its own event, and what has no entry has no change.
func TestAppendAllTx(t *testing.T) {
	t.Parallel()
	first, db, changed := newChanged(t)
	logs := []*AuditLog{first, newAuditLog(t, db, auditConfig())}
	var mu sync.Mutex
	var receipts []audit.Receipt
	want := 0
	var callers sync.WaitGroup
	for caller := range 12 {
		callers.Go(func() {
			for i := range 20 {
				l := logs[(caller+i)%len(logs)]
				n := (caller + i) % 5
				if n == 4 {
					r, err := l.Append(t.Context(), denied())
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					receipts = append(receipts, r)
					mu.Unlock()
					continue
				}
				events := make([]audit.Event, n)
				for k := range events {
					events[k] = denied()
					events[k].Count = uint64(k + 1)
				}
				got, err := l.AppendAllTx(t.Context(), func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
					_, err := tx.Exec(ctx, `insert into changed values ($1)`, n)
					return events, err
				})
				if err != nil || len(got) != n {
					t.Errorf("%d events: %d receipts, %v", n, len(got), err)
					return
				}
				for k := range got {
					if got[k].Index() != got[0].Index()+uint64(k) {
						t.Errorf("entries of one change are apart: %d and %d", got[0].Index(), got[k].Index())
					}
				}
				mu.Lock()
				receipts = append(receipts, got...)
				want += min(n, 1)
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	checkLog(t, db, receipts)
	if got := changed(); got != want {
		t.Errorf("%d changes, want %d", got, want)
	}
}

// TestAppendAllTxRefuses: a change that fails, has an event that is none, or too many, leaves
// nothing, and the next one commits.
func TestAppendAllTxRefuses(t *testing.T) {
	t.Parallel()
	l, db, changed := newChanged(t)
	errOwn := errors.New("changed my mind")
	for name, test := range map[string]struct {
		events []audit.Event
		err    error
		want   error
	}{
		"own error":       {[]audit.Event{denied()}, errOwn, errOwn},
		"unknown kind":    {[]audit.Event{denied(), {Kind: "no.such", Outcome: audit.Done}}, nil, privacy.ErrInvalid},
		"too many events": {make([]audit.Event, maxEntriesTx+1), nil, privacy.ErrInvalid},
	} {
		_, err := l.AppendAllTx(t.Context(), func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
			if _, err := tx.Exec(ctx, `insert into changed values (1)`); err != nil {
				t.Error(err)
			}
			return test.events, test.err
		})
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if n := changed(); n != 0 {
		t.Errorf("%d changes without an entry", n)
	}
	r, err := l.AppendAllTx(t.Context(), func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		_, err := tx.Exec(ctx, `insert into changed values (1)`)
		return []audit.Event{denied(), denied()}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	checkLog(t, db, r)
	if got := fmt.Sprint(changed()); got != "1" {
		t.Errorf("%s changes, want 1", got)
	}
}
