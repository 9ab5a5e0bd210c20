package cleanroom_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// working is an executor that takes its time, and then may fail.
type working struct {
	cleanroom.Executor
	takes time.Duration
	err   error
}

func (w *working) Run(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	if err := cleanroom.Sleep(ctx, w.takes); err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, w.err
	}
	return w.Executor.Run(ctx, room, plan)
}

// noted remembers when a run ended.
type noted struct {
	cleanroom.Ledger
	at time.Time
}

func (l *noted) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	l.at = time.Now()
	return l.Ledger.Finish(ctx, run, release, event)
}

func (l *noted) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	l.at = time.Now()
	return l.Ledger.Fail(ctx, run, event)
}

// How long a question was worked on shows nowhere: not in when its entry comes into the log,
// which everybody who makes entries before and after it sees by their numbers; not in when the
// answer says that it was released; not in when there is a place for another question, even if
// whoever asked has gone.
func TestWorkShowsNowhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fails := range []error{nil, errors.New("overflow")} {
			for _, goes := range []bool{false, true} {
				seen := map[string]bool{}
				for _, takes := range []time.Duration{0, 3 * time.Millisecond, 201 * time.Millisecond, 430 * time.Millisecond} {
					seen[watch(t, takes, fails, goes)] = true
				}
				if len(seen) != 1 {
					t.Errorf("failing with %v, asker goes %v: the work shows: %v", fails, goes, seen)
				}
			}
		}
	})
}

// watch asks a question and returns what can be seen of when its work was over.
func watch(t *testing.T, takes time.Duration, fails error, goes bool) string {
	h := newHouse(t)
	h.config.Now, h.config.Sleep, h.config.AtOnce = nil, nil, 1
	ledger := &noted{Ledger: h.ledger}
	service := cleanroom.New(h.rooms, h.policy, ledger, &working{h.executor, takes, fails}, h.noise, h.log, h.config)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived := time.Now()
	done := make(chan time.Time)
	go func() {
		answer, err := service.Ask(ctx, brand, "r1", []byte(reachQuery))
		switch {
		case goes && !errors.Is(err, context.Canceled), !goes && fails == nil && err != nil, !goes && fails != nil && err != cleanroom.ErrFailed:
			t.Errorf("%v, %v", answer, err)
		}
		done <- time.Now()
	}()
	synctest.Wait()
	if goes {
		cancel()
	}
	// Somebody tries another question all the time.
	free := make(chan time.Time, 1)
	go func() {
		time.Sleep(7 * time.Millisecond)
		for {
			at := time.Now()
			_, err := service.Ask(t.Context(), brand, "r1", []byte(change(t, reachQuery, `"noise_people": 20`, `"noise_people": 10000`)))
			if !errors.Is(err, privacy.ErrUnavailable) {
				free <- at
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	told := <-done
	at := ledger.at
	again, err := h.service.Ask(t.Context(), brand, "r1", []byte(reachQuery))
	released := time.Duration(0)
	if fails == nil {
		if err != nil || !again.Repeated {
			t.Fatalf("%+v, %v", again, err)
		}
		released = again.Release.ReleasedAt.Sub(arrived)
	}
	return fmt.Sprint(told.Sub(arrived), at.Sub(arrived), released, (<-free).Sub(arrived))
}

// A program that ends waits neither for work nor for when a failure may be noted, also where the
// asker has long gone. The failure is noted.
func TestWorkAndFailuresEndWithTheProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for name, work := range map[string]*working{
			"work": {takes: 20 * time.Second}, "failure": {err: errors.New("overflow")},
		} {
			for _, goes := range []bool{false, true} {
				h := newHouse(t)
				h.config.Now, h.config.Sleep = nil, nil
				work.Executor = h.executor
				service := cleanroom.New(h.rooms, h.policy, h.ledger, work, h.noise, h.log, h.config)
				program, end := context.WithCancel(t.Context())
				ctx, leave := context.WithCancel(cleanroom.WithEnd(program))
				began := time.Now()
				if goes {
					time.AfterFunc(time.Millisecond, leave)
				}
				time.AfterFunc(time.Second, end)
				if _, err := service.Ask(ctx, brand, "r1", []byte(reachQuery)); !errors.Is(err, context.Canceled) {
					t.Errorf("%s, asker goes %v: %v", name, goes, err)
				}
				if took := time.Since(began); took != time.Second || h.log.Kinds()[audit.RoomFailed] != 1 {
					t.Errorf("%s, asker goes %v: after %v, %d failures are noted", name, goes, took, h.log.Kinds()[audit.RoomFailed])
				}
				leave()
			}
		}
	})
}

// Whoever waits no longer, and says so by a deadline, does not see when the work was over either.
func TestDeadlinesDoNotHastenFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.config.Now, h.config.Sleep = nil, nil
		ledger := &noted{Ledger: h.ledger}
		service := cleanroom.New(h.rooms, h.policy, ledger, &working{h.executor, 0, errors.New("overflow")}, h.noise, h.log, h.config)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if _, err := service.Ask(ctx, brand, "r1", []byte(reachQuery)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if at := ledger.at.Sub(began); at != 25*time.Second {
			t.Errorf("a failure is noted after %v", at)
		}
	})
}

// busy is a ledger that takes its time to note an answer.
type busy struct {
	cleanroom.Ledger
	takes time.Duration
}

func (l *busy) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	if err := cleanroom.Sleep(ctx, l.takes); err != nil {
		return audit.Receipt{}, err
	}
	return l.Ledger.Finish(ctx, run, release, event)
}

// A log that is busy has nearly all of the time for an answer, and if that is not enough, the
// failure is told when all failures are.
func TestBusyLogsHaveTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			works, notes time.Duration
			failed       bool
			told         time.Duration
		}{
			{0, 20 * time.Second, false, 20500 * time.Millisecond},
			{0, time.Hour, true, 30 * time.Second},
			{24900 * time.Millisecond, time.Second, false, 26 * time.Second},
			{24900 * time.Millisecond, time.Hour, true, 30 * time.Second},
		} {
			h := newHouse(t)
			h.config.Now, h.config.Sleep = nil, nil
			service := cleanroom.New(h.rooms, h.policy, &busy{h.ledger, c.notes}, &working{h.executor, c.works, nil}, h.noise, h.log, h.config)
			began := time.Now()
			_, err := service.Ask(t.Context(), brand, "r1", []byte(reachQuery))
			if told := time.Since(began); told != c.told || c.failed != (err == cleanroom.ErrFailed) || !c.failed && err != nil || h.log.Kinds()[audit.RoomFailed] > 1 {
				t.Errorf("work of %v, noted for %v: told after %v, %v", c.works, c.notes, told, err)
			}
		}
	})
}
