package postgres

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The most that one entry may allocate in this process when it is committed alone,
// everything counted: pipeline, deadline and answer are those of a whole batch. (26 and 69
// were counted; the race detector adds some, because it empties pools.)
const (
	appendAllocations   = 40
	appendTxAllocations = 100
)

// TestAppendAllocatesLittle holds the allocations of both ways in. It is not parallel:
// allocations are counted for the whole process.
func TestAppendAllocatesLittle(t *testing.T) {
	db, _ := newDB(t)
	config := auditConfig()
	config.Actor = nameless
	l := newAuditLog(t, db, config)
	event := denied()
	count := func(what string, most float64, call func() error) {
		n := testing.AllocsPerRun(300, func() {
			if err := call(); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %.0f allocations for one entry, committed alone", what, n)
		if n > most {
			t.Errorf("%s: %.0f allocations, at most %.0f", what, n, most)
		}
	}
	count("Append", appendAllocations, func() error {
		_, err := l.Append(t.Context(), event)
		return err
	})
	unchanged := func(context.Context, pgx.Tx) error { return nil }
	count("AppendTx", appendTxAllocations, func() error {
		_, err := l.AppendTx(t.Context(), event, unchanged)
		return err
	})
}
