package activate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
)

// noted remembers when a run ended.
type noted struct {
	cleanroom.Ledger
	h  *house
	at time.Time
}

func (l *noted) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	l.at = l.h.now
	return l.Ledger.Finish(ctx, run, release, event)
}

func (l *noted) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	l.at = l.h.now
	return l.Ledger.Fail(ctx, run, event)
}

// How long an audience took, and so how many people it looked at, does not show in when its
// entry comes into the log: whoever makes entries before and after it sees by their numbers.
func TestWorkDoesNotShowInTheLog(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		people int
		err    error
		want   time.Duration
	}{
		"a list":   {2400, nil, 450 * time.Millisecond},
		"too few":  {20, nil, 450 * time.Millisecond},
		"a fault":  {20, errors.New("overflow"), 100 * time.Second},
		"no limit": {2400, context.DeadlineExceeded, 100 * time.Second},
	} {
		for _, takes := range []time.Duration{0, 7 * time.Millisecond, 430 * time.Millisecond} {
			h := newHouse(t, test.people)
			h.broken = func(context.Context) error {
				h.now = h.now.Add(takes)
				return test.err
			}
			ledger := &noted{Ledger: h.ledger, h: h}
			activator := h.activatorWith(ledger)
			if _, err := activator.Activate(t.Context(), brand, "r1", []byte(teaDrinkers)); (err == nil) != (name == "a list") {
				t.Fatalf("%s: %v", name, err)
			}
			if got := ledger.at.Sub(start); got != test.want {
				t.Errorf("%s: work of %v is noted after %v", name, takes, got)
			}
		}
	}
}
