package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// newLedgerTest has a room with two datasets, of which any consumer may spend a part.
func newLedgerTest(t testing.TB, total, consumer cleanroom.Rho) (*roomTest, []cleanroom.DatasetRef) {
	t.Helper()
	r := newRoomTest(t, "brand", "retailer")
	refs := []cleanroom.DatasetRef{{Owner: "brand", Dataset: "audience"}, {Owner: "retailer", Dataset: "purchases"}}
	r.open(t, "campaign", refs...)
	r.file(t, r.contract(t, refs[0], 1, 2*total, consumer))
	r.file(t, r.contract(t, refs[1], 1, total, consumer))
	return r, refs
}

func answerTo(charge cleanroom.Charge, text string) *cleanroom.Release {
	return &cleanroom.Release{
		Room: charge.Room, Consumer: charge.Consumer, Question: charge.Question, Query: []byte(`{}`), Snapshots: []cleanroom.SnapshotID{3, 1},
		Mode: cleanroom.Private, Cost: charge.Cost, Answer: []byte(text), Digest: sha256.Sum256([]byte(text)),
	}
}

func released(release *cleanroom.Release) audit.Event {
	event := roomEvent(audit.RoomReleased)
	event.List = release.Digest
	return event
}

// TestSameQuestionSameAnswer: who asks again, or asks what another has asked, gets what was
// answered, for nothing.
func TestSameQuestionSameAnswer(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	c := charge("campaign", "agency", 1, 10, refs...)
	run, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
	if err != nil || run.ID == 0 || run.Answer != nil || run.Receipt.Index() == 0 {
		t.Fatalf("got %+v, %v", run, err)
	}
	release := answerTo(c, `{"people":1200}`)
	if _, err := ledger.Finish(t.Context(), run.ID, answerTo(charge("campaign", "agency", 2, 10), "{}"), released(answerTo(c, "{}"))); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("finished with the answer to another question: %v", err)
	}
	if _, err := ledger.Finish(t.Context(), run.ID, release, roomEvent(audit.RoomReleased)); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("finished with an entry of something else: %v", err)
	}
	if _, err := ledger.Finish(t.Context(), run.ID, release, released(release)); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Finish(t.Context(), run.ID, release, released(release)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("finished twice: %v", err)
	}
	if err := ledger.Fail(t.Context(), run.ID, roomEvent(audit.RoomFailed)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("failed after it had an answer: %v", err)
	}
	for _, consumer := range []cleanroom.PartyID{"agency", "brand"} {
		c.Consumer = consumer
		again, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(release, again.Answer); diff != "" {
			t.Errorf("another answer for %s (-first +again):\n%s", consumer, diff)
		}
		if _, err := ledger.Repeat(t.Context(), c, released(release)); err != nil {
			t.Error(err)
		}
	}
	left, err := ledger.Left(t.Context(), "brand", refs)
	if err != nil {
		t.Fatal(err)
	}
	want := []cleanroom.Left{
		{Dataset: refs[0], Cap: 200, Spent: 10, ConsumerCap: 60}, {Dataset: refs[1], Cap: 100, Spent: 10, ConsumerCap: 60},
	}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
	if _, err := ledger.Repeat(t.Context(), charge("campaign", "brand", 9, 0), released(release)); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("repeated an answer that is not there: %v", err)
	}
}

// TestFailureCosts: a run without an answer is not given back, and asking again costs again.
func TestFailureCosts(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	c := charge("campaign", "agency", 1, 30, refs...)
	for range 2 {
		run, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Fail(t.Context(), run.ID, roomEvent(audit.RoomFailed)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
	exhausted, ok := errors.AsType[*cleanroom.Exhausted](err)
	if !ok || len(exhausted.Left) != 2 || exhausted.Left[1].Consumed != 60 || exhausted.Left[1].Rho() != 0 {
		t.Fatalf("the third time: %v", err)
	}
	if entries := kindsOf(t, r.db); entries[audit.RoomCharged] != 2 || entries[audit.RoomFailed] != 2 || entries[audit.RoomDenied] != 1 {
		t.Errorf("the log has %v", entries)
	}
	// The tables hold that too: not even the application can give something back.
	for _, statement := range []string{
		`update cleanroom.budget set spent = spent - 1`, `update cleanroom.consumer_budget set spent = 0`,
		`update cleanroom.budget set spent = spent + 1000`, `delete from cleanroom.run`, `update cleanroom.release set answer = 'x'`,
	} {
		if _, err := r.db.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("the tables let %q through", statement)
		}
	}
}

// TestRunThatNobodyFinishes is taken over when its lease is over, costs again, and cannot be
// finished after that.
func TestRunThatNobodyFinishes(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{Poll: 5 * time.Millisecond})
	c := charge("campaign", "agency", 1, 30, refs...)
	first, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := ledger.Begin(ctx, c, roomEvent(audit.RoomCharged)); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("did not wait for the one who computes it: %v", err)
	}
	if _, err := r.database.OwnerPool(t).Exec(t.Context(), `update cleanroom.run set begun_at = begun_at - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	second, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
	if err != nil || second.ID == first.ID {
		t.Fatalf("not taken over: %v, %v", second, err)
	}
	release := answerTo(c, "{}")
	if _, err := ledger.Finish(t.Context(), first.ID, release, released(release)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("finished after it was taken over: %v", err)
	}
	if _, err := ledger.Finish(t.Context(), second.ID, release, released(release)); err != nil {
		t.Error(err)
	}
	if entries := kindsOf(t, r.db); entries[audit.RoomCharged] != 2 || entries[audit.RoomFailed] != 1 || entries[audit.RoomReleased] != 1 {
		t.Errorf("the log has %v", entries)
	}
}

// TestRunsThatNobodyAsksAgain: a run whose computer is gone is closed with its entry, also if
// nobody asks the same again; one that is being computed is left alone.
func TestRunsThatNobodyAsksAgain(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	expire := func(want int) {
		t.Helper()
		if n, err := ledger.Expire(t.Context()); err != nil || n != want {
			t.Errorf("closed %d runs of %d: %v", n, want, err)
		}
	}
	gone := charge("campaign", "agency", 1, 10, refs...)
	first, err := ledger.Begin(t.Context(), gone, roomEvent(audit.RoomCharged))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.database.OwnerPool(t).Exec(t.Context(), `update cleanroom.run set begun_at = begun_at - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Begin(t.Context(), charge("campaign", "agency", 2, 10, refs...), roomEvent(audit.RoomCharged)); err != nil {
		t.Fatal(err)
	}
	expire(1)
	expire(0)
	release := answerTo(gone, "{}")
	if _, err := ledger.Finish(t.Context(), first.ID, release, released(release)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("finished after it was closed: %v", err)
	}
	if entries := kindsOf(t, r.db); entries[audit.RoomFailed] != 1 {
		t.Errorf("the log has %v", entries)
	}
	told, err := r.rooms.RoomRuns(t.Context(), "campaign")
	if err != nil || len(told) != 2 || told[0].State != "failed" || told[1].State != "running" {
		t.Errorf("runs %+v, %v", told, err)
	}
}

// TestQuestionsThatCostNothing name the datasets that they are about all the same, take nothing
// from their budgets, and are asked also when nothing is left.
func TestQuestionsThatCostNothing(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 100, 60)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	if _, err := ledger.Begin(t.Context(), charge("campaign", "agency", 1, 50, refs...), roomEvent(audit.RoomCharged)); err != nil {
		t.Fatal(err)
	}
	r.file(t, r.contract(t, refs[1], 2, 20, 10)) // below what is spent
	if _, err := ledger.Begin(t.Context(), charge("campaign", "agency", 2, 0, refs...), roomEvent(audit.RoomCharged)); err != nil {
		t.Fatal(err)
	}
	left, err := ledger.Left(t.Context(), "agency", refs)
	if err != nil || left[0].Spent != 50 || left[1].Spent != 50 || left[1].Consumed != 50 {
		t.Errorf("left is %+v, %v", left, err)
	}
	told, err := r.rooms.RoomRuns(t.Context(), "campaign")
	if err != nil || len(told) != 2 || told[1].Cost != 0 || len(told[1].Datasets) != 2 {
		t.Errorf("runs %+v, %v", told, err)
	}
}

// TestLedgerNeverExceedsItsCap: 64 clients in two processes spend what there is, in costs of
// all sizes, some of them asking the same. Whatever order they come in, no cap is exceeded,
// nothing is left that somebody was refused who could have had it, and every charge has an entry.
func TestLedgerNeverExceedsItsCap(t *testing.T) {
	t.Parallel()
	const total, part = 20_000, 2_500
	r, refs := newLedgerTest(t, total, part)
	other, err := Open(t.Context(), Config{URL: r.database.URL(), ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	ledgers := []*RoomLedger{
		NewRoomLedger(r.db, r.log, RoomLedgerConfig{Poll: time.Millisecond}),
		NewRoomLedger(other, newAuditLog(t, other, auditConfig()), RoomLedgerConfig{Poll: time.Millisecond}),
	}
	questions := 60
	if testing.Short() {
		questions = 12
	}
	var charged, refused, repeated atomic.Int64
	var mu sync.Mutex
	spent := map[cleanroom.DatasetRef]cleanroom.Rho{}
	consumed := map[consumerOf]cleanroom.Rho{}
	var clients sync.WaitGroup
	for client := range 64 {
		clients.Go(func() {
			ledger := ledgers[client%2]
			consumer := cleanroom.PartyID(fmt.Sprintf("consumer_%d", client%8))
			for i := range questions {
				// Every fourth question is one that all ask.
				number := 1_000_000 + i
				if i%4 > 0 {
					number = client*1000 + i
				}
				c := charge("campaign", consumer, number, cleanroom.Rho(1+(client*7+i*13)%400), refs[(client+i)%2:]...)
				if i%4 == 0 {
					c.Cost, c.Datasets = cleanroom.Rho(10+i), refs
				}
				run, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged))
				switch {
				case errors.Is(err, cleanroom.ErrExhausted):
					refused.Add(1)
					continue
				case err != nil:
					t.Error(err)
					return
				case run.Answer != nil:
					repeated.Add(1)
					continue
				}
				charged.Add(1)
				mu.Lock()
				for _, d := range c.Datasets {
					spent[d] += c.Cost
					consumed[consumerOf{d, consumer}] += c.Cost
				}
				mu.Unlock()
				if i%3 == 0 {
					err = ledger.Fail(t.Context(), run.ID, roomEvent(audit.RoomFailed))
				} else {
					release := answerTo(c, "{}")
					_, err = ledger.Finish(t.Context(), run.ID, release, released(release))
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	if charged.Load() == 0 || refused.Load() == 0 || repeated.Load() == 0 {
		t.Fatalf("%d charged, %d refused, %d repeated: nothing is shown", charged.Load(), refused.Load(), repeated.Load())
	}
	t.Logf("%d charged, %d refused, %d repeated", charged.Load(), refused.Load(), repeated.Load())
	for client := range 8 {
		consumer := cleanroom.PartyID(fmt.Sprintf("consumer_%d", client))
		left, err := ledgers[0].Left(t.Context(), consumer, refs)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range left {
			if l.Spent > l.Cap || l.Consumed > l.ConsumerCap {
				t.Errorf("%s has exceeded a cap: %+v", consumer, l)
			}
			if l.Spent != spent[l.Dataset] || l.Consumed != consumed[consumerOf{l.Dataset, consumer}] {
				t.Errorf("%s is charged %+v, and was told of %d and %d", consumer, l, spent[l.Dataset], consumed[consumerOf{l.Dataset, consumer}])
			}
		}
	}
	kinds := kindsOf(t, r.db)
	if int64(kinds[audit.RoomCharged]) != charged.Load() || int64(kinds[audit.RoomDenied]) != refused.Load() {
		t.Errorf("%d charged and %d refused, the log has %v", charged.Load(), refused.Load(), kinds)
	}
}

// TestChargeThatTheTablesRefuseTakesNoOtherWithIt: charges share a transaction, and not their
// fate.
func TestChargeThatTheTablesRefuseTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	r, refs := newLedgerTest(t, 1000, 1000)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			c := charge("campaign", "agency", i, 1, refs...)
			switch i % 4 {
			case 0:
				c.Room = "nowhere"
			case 1:
				c.Datasets = []cleanroom.DatasetRef{{Owner: "retailer", Dataset: "nothing"}}
			}
			if _, err := ledger.Begin(t.Context(), c, roomEvent(audit.RoomCharged)); (err != nil) != (i%4 < 2) {
				t.Errorf("charge %d: %v", i, err)
			}
		})
	}
	clients.Wait()
	left, err := ledger.Left(t.Context(), "agency", refs)
	if err != nil || left[0].Consumed != 20 {
		t.Errorf("charged %v, %v", left, err)
	}
}

// kindsOf counts the entries of the log by kind.
func kindsOf(t testing.TB, db *DB) map[audit.Kind]int {
	t.Helper()
	entries, err := readEntries(t.Context(), db.pool, 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[audit.Kind]int{}
	for _, e := range entries {
		entry, err := audit.ParseEntry(e.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		kinds[entry.Kind]++
	}
	return kinds
}

// BenchmarkCharge: 64 clients charge one budget, each waiting for its charge to be durable.
func BenchmarkCharge(b *testing.B) {
	r, refs := newLedgerTest(b, cleanroom.MaximumCap/2, cleanroom.MaximumCap/2)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	var next atomic.Int64
	b.ResetTimer()
	begun := time.Now()
	var clients sync.WaitGroup
	for range 64 {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := ledger.Begin(b.Context(), charge("campaign", "agency", int(i), 1, refs[1]), roomEvent(audit.RoomCharged)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	clients.Wait()
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "charges/s")
}
