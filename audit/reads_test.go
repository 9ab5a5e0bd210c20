package audit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// recorder is a log that remembers who was in its events.
type recorder struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (r *recorder) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return audit.Receipt{}, r.err
	}
	r.events = append(r.events, event)
	return audit.Committed([16]byte{1}, [32]byte{2}, uint64(len(r.events))), nil
}

func TestReadsAreLoggedOncePerPeriod(t *testing.T) {
	t.Parallel()
	var log recorder
	now := time.UnixMilli(1795325000000)
	reads := audit.NewReads(&log, time.Hour, func() time.Time { return now })
	anna, bora := privacy.Principal{ID: "anna", Role: privacy.RoleAuditor}, privacy.Principal{ID: "bora", Role: privacy.RoleDPO}
	note := func(by privacy.Principal) {
		t.Helper()
		if err := reads.Note(t.Context(), by); err != nil {
			t.Error(err)
		}
	}
	var readers sync.WaitGroup
	for range 50 {
		readers.Go(func() { note(anna) })
	}
	readers.Wait()
	note(bora)
	now = now.Add(time.Hour - 1)
	note(anna)
	now = now.Add(1)
	note(anna)
	now = now.Add(-30 * time.Minute) // set back: said at once, not in an hour and a half
	note(anna)
	var got []string
	for _, e := range log.events {
		if e.Kind != audit.LogRead || e.Outcome != audit.Done {
			t.Errorf("logged %s %s", e.Kind, e.Outcome)
		}
		got = append(got, e.Principal.ID)
	}
	if diff := cmp.Diff([]string{"anna", "bora", "anna", "anna"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReadsFailClosed(t *testing.T) {
	t.Parallel()
	log := recorder{err: privacy.ErrUnavailable}
	reads := audit.NewReads(&log, 0, nil)
	by := privacy.Principal{ID: "anna", Role: privacy.RoleAuditor}
	for range 2 { // what failed was not logged, so the next one tries again
		if err := reads.Note(t.Context(), by); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("with a log that cannot be written: %v", err)
		}
	}
	if err := reads.Note(t.Context(), privacy.Principal{}); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("as nobody: %v", err)
	}
	log.err = nil
	if err := reads.Note(t.Context(), by); err != nil || len(log.events) != 1 {
		t.Errorf("after it came back: %v, %d entries", err, len(log.events))
	}
}
