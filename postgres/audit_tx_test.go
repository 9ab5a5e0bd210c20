package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// TestCommitThatFailsUsesUpNoIndex: a change can still fail in its commit, by a deferred
// constraint, when the next writer has been let go already with the head as it would have
// been. Nobody but the one whose change failed notices.
func TestCommitThatFailsUsesUpNoIndex(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	if _, err := database.OwnerPool(t).Exec(t.Context(), `
		create table changed (n bigint);
		grant insert on changed to mahrem_app;
		create function refuse_none() returns trigger language plpgsql as $$
			begin raise exception 'none' using errcode = 'check_violation'; end $$;
		create constraint trigger changed_is_something after insert on changed deferrable initially deferred
			for each row when (new.n = 0) execute function refuse_none()`); err != nil {
		t.Fatal(err)
	}
	l := newAuditLog(t, db, auditConfig())
	var mu sync.Mutex
	var receipts []audit.Receipt
	failed := 0
	var callers sync.WaitGroup
	for caller := range 16 {
		callers.Go(func() {
			for i := range 20 {
				// Every third is refused, by the commit.
				n := 0
				if (caller+i)%3 > 0 {
					n = 1 + caller*1000 + i
				}
				var r audit.Receipt
				var err error
				if i%5 == 4 {
					n = -1
					r, err = l.Append(t.Context(), denied())
				} else {
					r, err = l.AppendTx(t.Context(), denied(), func(ctx context.Context, tx pgx.Tx) error {
						_, err := tx.Exec(ctx, `insert into changed values ($1)`, n)
						return err
					})
				}
				if (err != nil) != (n == 0) {
					t.Errorf("change %d: %v", n, err)
					return
				}
				mu.Lock()
				if err != nil {
					failed++
				} else {
					receipts = append(receipts, r)
				}
				mu.Unlock()
			}
		})
	}
	callers.Wait()
	if failed == 0 || len(receipts) == 0 {
		t.Fatalf("%d failed, %d did not: nothing is shown", failed, len(receipts))
	}
	checkLog(t, db, receipts)
}

// TestChangeThatFailsLetsTheLogGo: whatever happens inside a change, the next one commits.
func TestChangeThatFailsLetsTheLogGo(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	l := newAuditLog(t, db, auditConfig())
	for _, sql := range []string{"commit", "rollback", "select 1/0", "select nothing"} {
		if _, err := l.AppendTx(t.Context(), denied(), func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			if sql == "select nothing" {
				return nil // swallowed
			}
			return err
		}); err == nil {
			t.Errorf("%q went through", sql)
		}
	}
	r, err := l.AppendTx(t.Context(), denied(), func(context.Context, pgx.Tx) error { return nil })
	if err != nil || errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	checkLog(t, db, []audit.Receipt{r})
}
