package postgres

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// TestClockThatIsSetBackIsSaid sets the clock back under both ways in, and while nobody
// writes: entries keep their order, and before the first one with an earlier time the log
// says so, once. What clocks do all the time is not worth saying.
func TestClockThatIsSetBackIsSaid(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	var clock atomic.Int64
	clock.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli())
	config := auditConfig()
	config.Now = func() time.Time { return time.UnixMilli(clock.Load()) }
	config.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	l := newAuditLog(t, db, config)
	var receipts []uint64
	write := func(l *AuditLog, tx bool) {
		t.Helper()
		var r audit.Receipt
		var err error
		if tx {
			r, err = l.AppendTx(t.Context(), denied(), func(context.Context, pgx.Tx) error { return nil })
		} else {
			r, err = l.Append(t.Context(), denied())
		}
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r.Index())
	}
	back := func(by time.Duration) { clock.Add(-by.Milliseconds()) }

	write(l, false)
	back(time.Second)
	write(l, true)
	back(time.Hour)
	write(l, false)
	write(l, true)
	back(time.Hour)
	write(l, true)
	write(l, false)
	clock.Add(time.Hour.Milliseconds())
	write(l, false)
	back(time.Hour)
	again := newAuditLog(t, db, config)
	write(again, false)
	write(again, true)

	entries, err := l.Entries(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []audit.Kind
	var last time.Time
	for _, e := range entries {
		entry, err := audit.ParseEntry(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if entry.Time.Before(last.Add(-clockSlack)) && entry.Kind != audit.ClockSetBack {
			t.Errorf("entry %d has an earlier time than the one before it", e.Index)
		}
		last = entry.Time
		kinds = append(kinds, entry.Kind)
	}
	q, c := audit.QueryDenied, audit.ClockSetBack
	if want := []audit.Kind{q, q, c, q, q, c, q, q, q, c, q, q}; !slices.Equal(kinds, want) {
		t.Errorf("got  %v\nwant %v", kinds, want)
	}
	if want := []uint64{0, 1, 3, 4, 6, 7, 8, 10, 11}; !slices.Equal(receipts, want) {
		t.Errorf("receipts for %v, want %v", receipts, want)
	}
	report, err := l.Verify(t.Context(), nil)
	if err != nil || !report.Whole() || report.ClockSetBack != 3 {
		t.Errorf("%d places and %v, %v", report.ClockSetBack, report.Damages, err)
	}
}

// TestClockIsSaidEvenIfTheFirstWriteFails: a write that failed has said nothing.
func TestClockIsSaidEvenIfTheFirstWriteFails(t *testing.T) {
	t.Parallel()
	l, troubled, direct := newLogOnLine(t)
	if _, err := l.Append(t.Context(), denied()); err != nil {
		t.Fatal(err)
	}
	l.config.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	l.config.Deadline = shortDeadline
	troubled.set(stopped)
	for range 2 {
		if _, err := l.Append(t.Context(), denied()); err == nil {
			t.Fatal("appended while the database was away")
		}
	}
	troubled.set(passing)
	appended := false
	for until := time.Now().Add(5 * time.Minute); !appended && time.Now().Before(until); {
		_, err := l.Append(t.Context(), denied())
		appended = err == nil
	}
	if !appended {
		t.Fatal("not appended after the database was back")
	}
	report, err := newAuditLog(t, direct, auditConfig()).Verify(t.Context(), nil)
	if err != nil || !report.Whole() || report.ClockSetBack != 1 {
		t.Errorf("said %d times, %v, %v", report.ClockSetBack, report.Damages, err)
	}
}
