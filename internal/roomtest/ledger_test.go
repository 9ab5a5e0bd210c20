package roomtest_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

var purchases = cleanroom.DatasetRef{Owner: "shop", Dataset: "purchases"}

func question(n uint64) (digest audit.Digest) {
	binary.BigEndian.PutUint64(digest[:], n)
	return digest
}

func charge(consumer cleanroom.PartyID, q uint64, cost cleanroom.Rho) cleanroom.Charge {
	return cleanroom.Charge{Room: "r", Consumer: consumer, Question: question(q), Datasets: []cleanroom.DatasetRef{purchases}, Cost: cost}
}

func newLedger() *roomtest.Ledger {
	return roomtest.NewLedger(&roomtest.Log{}, map[cleanroom.DatasetRef]roomtest.Caps{purchases: {All: 100, Consumer: 60}})
}

func TestLedgerCountsEverybody(t *testing.T) {
	t.Parallel()
	ledger := newLedger()
	begin := func(consumer cleanroom.PartyID, q uint64, cost cleanroom.Rho) error {
		_, err := ledger.Begin(t.Context(), charge(consumer, q, cost), audit.Event{Kind: audit.RoomCharged})
		return err
	}
	if err := begin("a", 1, 60); err != nil {
		t.Fatal(err)
	}
	if err := begin("a", 2, 1); !errors.Is(err, cleanroom.ErrExhausted) {
		t.Errorf("a spends more than its part: %v", err)
	}
	var exhausted *cleanroom.Exhausted
	if err := begin("b", 3, 41); !errors.As(err, &exhausted) || exhausted.Left[0].Rho() != 40 {
		t.Errorf("b spends more than is left of all: %v", err)
	}
	if err := begin("b", 4, 40); err != nil {
		t.Error(err)
	}
	if got := ledger.Log.Kinds(); got[audit.RoomCharged] != 2 || got[audit.RoomDenied] != 2 {
		t.Errorf("the log has %v", got)
	}
}

func TestLedgerAnswersAgain(t *testing.T) {
	t.Parallel()
	ledger := newLedger()
	run, err := ledger.Begin(t.Context(), charge("a", 1, 10), audit.Event{Kind: audit.RoomCharged})
	if err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for range 4 {
		waiting.Go(func() {
			again, err := ledger.Begin(t.Context(), charge("b", 1, 10), audit.Event{Kind: audit.RoomCharged})
			if err != nil || again.Answer == nil || string(again.Answer.Answer) != "42" {
				t.Errorf("the same question: %+v, %v", again, err)
			}
		})
	}
	if _, err := ledger.Finish(t.Context(), run.ID, &cleanroom.Release{Answer: []byte("42")}, audit.Event{Kind: audit.RoomReleased}); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	if _, err := ledger.Finish(t.Context(), run.ID, &cleanroom.Release{}, audit.Event{}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("an answer is replaced: %v", err)
	}
	left, err := ledger.Left(t.Context(), "b", []cleanroom.DatasetRef{purchases})
	if err != nil || left[0].Spent != 10 || left[0].Consumed != 0 {
		t.Errorf("%+v, %v", left, err)
	}
}

// Who fails has paid, and pays again.
func TestLedgerKeepsWhatFailed(t *testing.T) {
	t.Parallel()
	ledger := newLedger()
	for n := cleanroom.Rho(1); n <= 2; n++ {
		run, err := ledger.Begin(t.Context(), charge("a", 1, 10), audit.Event{Kind: audit.RoomCharged})
		if err != nil {
			t.Fatal(err)
		}
		if err := ledger.Fail(t.Context(), run.ID, audit.Event{Kind: audit.RoomFailed}); err != nil {
			t.Fatal(err)
		}
		if err := ledger.Fail(t.Context(), run.ID, audit.Event{Kind: audit.RoomFailed}); !errors.Is(err, privacy.ErrConflict) {
			t.Errorf("a run fails twice: %v", err)
		}
		left, err := ledger.Left(t.Context(), "a", []cleanroom.DatasetRef{purchases})
		if err != nil || left[0].Spent != 10*n {
			t.Errorf("%+v, %v", left, err)
		}
	}
}
