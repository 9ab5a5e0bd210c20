package cleanroom_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// faults are what can go wrong once data was touched, each after another time: all of it could
// depend on one person's row.
var faults = map[string]func(h *house, groups []cleanroom.Group) ([]cleanroom.Group, error){
	"overflow": func(*house, []cleanroom.Group) ([]cleanroom.Group, error) {
		return nil, errors.New("bigint out of range")
	},
	"no memory":     func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, privacy.ErrUnavailable },
	"nothing there": func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, privacy.ErrNotFound },
	"invalid": func(*house, []cleanroom.Group) ([]cleanroom.Group, error) {
		return nil, &privacy.FieldError{Pointer: "/where/0", Reason: "a row said so"}
	},
	"damaged": func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, privacy.ErrDamaged },
	"denied": func(*house, []cleanroom.Group) ([]cleanroom.Group, error) {
		return nil, &cleanroom.Denied{Checks: []string{"a.row"}}
	},
	"exhausted":       func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, &cleanroom.Exhausted{} },
	"too late":        func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, context.DeadlineExceeded },
	"given up":        func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { return nil, context.Canceled },
	"panic":           func(*house, []cleanroom.Group) ([]cleanroom.Group, error) { panic("index 7 of somebody's row") },
	"quick":           func(h *house, _ []cleanroom.Group) ([]cleanroom.Group, error) { return nil, errors.New("at once") },
	"slow":            func(h *house, _ []cleanroom.Group) ([]cleanroom.Group, error) { return h.after(29 * time.Second) },
	"after a tick":    func(h *house, _ []cleanroom.Group) ([]cleanroom.Group, error) { return h.after(500 * time.Millisecond) },
	"a strange key":   func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { g[0].Key[0] = 2; return g, nil },
	"a negative key":  func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { g[0].Key[0] = -1; return g, nil },
	"no key":          func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { g[0].Key = nil; return g, nil },
	"a group twice":   func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { return append(g, g[0]), nil },
	"negative people": func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { g[0].People = -1; return g, nil },
	"a missing sum":   func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) { g[0].Sums = nil; return g, nil },
	"strange bins": func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) {
		g[0].Bins[0] = []int64{1}
		return g, nil
	},
	"missing bins": func(_ *house, g []cleanroom.Group) ([]cleanroom.Group, error) {
		g[0].Bins = g[0].Bins[:0]
		return g, nil
	},
}

func (h *house) after(d time.Duration) ([]cleanroom.Group, error) {
	h.now = h.now.Add(d)
	return nil, errors.New("after a while")
}

// faulty is an executor that does its work and then goes wrong.
type faulty struct {
	cleanroom.Executor
	house *house
	fault func(h *house, groups []cleanroom.Group) ([]cleanroom.Group, error)
}

func (f *faulty) Run(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	groups, err := f.Executor.Run(ctx, room, plan)
	if err != nil {
		return nil, err
	}
	return f.fault(f.house, groups)
}

// broken is a ledger that fails when an answer is to be kept.
type broken struct {
	cleanroom.Ledger
	err error
}

func (b *broken) Finish(context.Context, cleanroom.RunID, *cleanroom.Release, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, b.err
}

// Whatever goes wrong after data was touched: the same error, at the same time, at the same
// cost.
func TestFaultsCannotBeToldApart(t *testing.T) {
	t.Parallel()
	check := func(name string, h *house, service *cleanroom.Service) {
		t.Helper()
		arrived := h.now
		answer, err := service.Ask(t.Context(), brand, "r1", []byte(reachQuery))
		if err != cleanroom.ErrFailed || answer != nil { // the very error, with nothing in it
			t.Errorf("%s: %v", name, err)
		}
		if took := h.now.Sub(arrived); took != 30*time.Second {
			t.Errorf("%s is told after %v", name, took)
		}
		kinds := h.log.Kinds()
		if len(kinds) != 2 || kinds[audit.RoomCharged] != 1 || kinds[audit.RoomFailed] != 1 {
			t.Errorf("%s: entries %v", name, kinds)
		}
		left, _ := h.ledger.Left(t.Context(), "brand", []cleanroom.DatasetRef{segments})
		if left[0].Spent != 2_500_000 {
			t.Errorf("%s: %d is charged", name, left[0].Spent)
		}
		if len(h.reports) != 1 {
			t.Errorf("%s: the operator is told %d times", name, len(h.reports))
		}
	}
	for name, fault := range faults {
		h := newHouse(t)
		check(name, h, cleanroom.New(h.rooms, h.policy, h.ledger, &faulty{h.executor, h, fault}, h.noise, h.log, h.config))
	}
	for _, err := range []error{privacy.ErrUnavailable, privacy.ErrConflict, audit.ErrUnvouched, nil} {
		h := newHouse(t)
		check("an answer that is not kept", h, cleanroom.New(h.rooms, h.policy, &broken{h.ledger, err}, h.executor, h.noise, h.log, h.config))
	}
	h := newHouse(t)
	h.config.Seed = func(audit.Digest) (int64, error) { return 0, privacy.ErrUnavailable }
	check("no seed", h, cleanroom.New(h.rooms, h.policy, h.ledger, h.executor, h.noise, h.log, h.config))
	h = newHouse(t)
	check("no noise", h, cleanroom.New(h.rooms, h.policy, h.ledger, h.executor, panics{}, h.log, h.config))
}

type panics struct{}

func (panics) Gaussian(int64, float64) int64 { panic("no randomness") }

// Answers come on the grid that began when the question arrived.
func TestAnswersComeOnTheGrid(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ work, told time.Duration }{
		{0, 500 * time.Millisecond},
		{time.Millisecond, 500 * time.Millisecond},
		{449 * time.Millisecond, 500 * time.Millisecond},
		{450 * time.Millisecond, time.Second}, // it is noted 50 ms before it is told
		{2100 * time.Millisecond, 2500 * time.Millisecond},
	} {
		h := newHouse(t)
		h.executor.Fault = func(*cleanroom.Plan, []cleanroom.Group) error {
			h.now = h.now.Add(test.work)
			return nil
		}
		arrived := h.now
		h.mustAsk(t, reachQuery)
		if took := h.now.Sub(arrived); took != test.told {
			t.Errorf("work of %v is told after %v, want %v", test.work, took, test.told)
		}
		arrived = h.now
		if h.mustAsk(t, reachQuery); h.now.Sub(arrived) != 500*time.Millisecond {
			t.Errorf("the same answer is told after %v", h.now.Sub(arrived))
		}
	}
}

// Sums at the ends of the whole numbers stay numbers.
func TestLargestSums(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.noise.Noise = shift(math.MaxInt64 - 450_000)
	h.mustAsk(t, reachQuery)
}
