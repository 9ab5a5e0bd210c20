package cleanroom_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// hanging is an executor that works until it may not any longer.
type hanging struct{}

func (hanging) Run(ctx context.Context, _ cleanroom.RoomID, _ *cleanroom.Plan) ([]cleanroom.Group, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// slowly is a ledger that takes its time to charge, and to note a failure.
type slowly struct {
	cleanroom.Ledger
	begin, fail time.Duration
}

func (l *slowly) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	time.Sleep(l.begin)
	return l.Ledger.Begin(ctx, charge, event)
}

func (l *slowly) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	time.Sleep(l.fail)
	return l.Ledger.Fail(ctx, run, event)
}

// A question that nobody could answer in time fails at the very moment at which one fails
// whose work broke off at once, and as the same; also where somebody gives it a minute, as the
// server does.
func TestLateFailuresAreNoLaterThanEarlyOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, ledger := range []slowly{{}, {begin: 50 * time.Millisecond, fail: time.Second}, {begin: 11 * time.Second, fail: 20 * time.Millisecond}} {
			for name, early := range map[string]bool{"early": true, "late": false} {
				h := newHouse(t)
				h.config.Now, h.config.Sleep = nil, nil
				ledger.Ledger = h.ledger
				var executor cleanroom.Executor = hanging{}
				if early {
					executor = &faulty{h.executor, h, faults["overflow"]}
				}
				service := cleanroom.New(h.rooms, h.policy, &ledger, executor, h.noise, h.log, h.config)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				arrived := time.Now()
				_, err := service.Ask(ctx, brand, "r1", []byte(reachQuery))
				if err != cleanroom.ErrFailed {
					t.Errorf("%s: %v", name, err)
				}
				if took := time.Since(arrived) - ledger.begin; took != 30*time.Second {
					t.Errorf("%s: told %v after the charge", name, took)
				}
				cancel()
			}
		}
	})
}

// One party has but so many questions computed at once: noise makes questions as cheap as one
// likes, and each of them may take long. A place is free again when an answer is told, and not
// before: when it was computed is nobody's business.
func TestOnePartyCannotAskEverythingAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.config.Now, h.config.Sleep, h.config.AtOnce = nil, nil, 2
		service := cleanroom.New(h.rooms, h.policy, h.ledger, hanging{}, h.noise, h.log, h.config)
		ask := func(noise string) error {
			_, err := service.Ask(t.Context(), brand, "r1", []byte(change(t, reachQuery, `"noise_people": 20`, `"noise_people": `+noise)))
			return err
		}
		done := make(chan error, 2)
		for _, noise := range []string{"100", "101"} {
			go func() { done <- ask(noise) }()
		}
		for _, at := range []time.Duration{time.Second, 27 * time.Second} { // the work of both is over by then
			time.Sleep(at)
			synctest.Wait()
			if err := ask("102"); !errors.Is(err, privacy.ErrUnavailable) {
				t.Errorf("after %v: %v", at, err)
			}
		}
		if charged := h.log.Kinds()[audit.RoomCharged]; charged != 2 {
			t.Errorf("%d questions were charged", charged)
		}
		for range 2 {
			if err := <-done; err != cleanroom.ErrFailed {
				t.Error(err)
			}
		}
		if err := ask("102"); err != cleanroom.ErrFailed {
			t.Errorf("when all is over: %v", err)
		}
	})
}

// waiting is a ledger in which somebody else was computing the answer; meanwhile something
// happens.
type waiting struct {
	cleanroom.Ledger
	meanwhile func()
}

func (l *waiting) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	run, err := l.Ledger.Begin(ctx, charge, event)
	l.meanwhile()
	return run, err
}

// Whoever waits for the answer to another's question may ask no longer when it is there, if
// the rules have changed by then.
func TestRulesBindWhoeverHasWaited(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meanwhile func(h *house)
		want      error
	}{
		"nothing":              {func(*house) {}, nil},
		"the party is gone":    {func(h *house) { h.rooms.Room.Members = h.rooms.Room.Members[1:] }, privacy.ErrForbidden},
		"the room is closed":   {func(h *house) { h.rooms.Room.ClosedAt = h.now }, privacy.ErrForbidden},
		"the policies say no":  {func(h *house) { h.policy.decision = policies.RoomDecision{Failed: []string{"room.mode"}} }, privacy.ErrForbidden},
		"a larger least group": {func(h *house) { h.policy.decision.MinimumPeople = 500 }, privacy.ErrConflict},
	} {
		h := newHouse(t)
		h.mustAsk(t, reachQuery)
		ledger := &waiting{h.ledger, func() {
			h.now = h.now.Add(3 * time.Second)
			test.meanwhile(h)
		}}
		service := cleanroom.New(h.rooms, h.policy, ledger, h.executor, h.noise, h.log, h.config)
		answer, err := service.Ask(t.Context(), brand, "r1", []byte(reachQuery))
		if !errors.Is(err, test.want) || (err == nil) != (answer != nil) {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
		want := 1
		if test.want == nil {
			want = 2
		}
		if got := h.log.Kinds()[audit.RoomReleased]; got != want {
			t.Errorf("%s: %d answers were handed out", name, got)
		}
	}
}
