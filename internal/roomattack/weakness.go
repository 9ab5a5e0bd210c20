package roomattack

import (
	"context"
	"math"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/policies"
)

// Weakness is how a service is broken on purpose, for attacks to be seen winning. The zero
// value is a service that works.
type Weakness struct {
	// HalfNoise draws half of the noise that is paid for.
	HalfNoise bool
	// FreshNoise answers a question that was answered before for nothing, as is right, but with new
	// noise.
	FreshNoise bool
	// ExactThreshold has the exact number of people decide which groups are told.
	ExactThreshold bool
	// Refund gives the cost of a question back that has no answer.
	Refund bool
	// EachAlone counts what each consumer spends, and not what all do together.
	EachAlone bool
	// AllGroups counts people in all of their groups, however many are paid for.
	AllGroups bool
	// NoGrid tells answers and failures as soon as they are there.
	NoGrid bool
}

func (w Weakness) executor(e cleanroom.Executor) cleanroom.Executor {
	if w.AllGroups {
		return allGroups{e}
	}
	return e
}

type allGroups struct{ cleanroom.Executor }

func (a allGroups) Run(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	unbounded := *plan
	unbounded.MaxGroups = math.MaxInt
	return a.Executor.Run(ctx, room, &unbounded)
}

func (w Weakness) noise(n cleanroom.Noise) cleanroom.Noise {
	if w.HalfNoise {
		return halfNoise{n}
	}
	if w.ExactThreshold {
		return exactThreshold{n}
	}
	return n
}

// exactThreshold draws as it should, and then hides exactly the groups of too few people. It is
// for questions that count people and nothing else.
type exactThreshold struct{ cleanroom.Noise }

func (e exactThreshold) Gaussian(x int64, sigma float64) int64 {
	if x < minimumPeople {
		return 0
	}
	return max(e.Noise.Gaussian(x, sigma), minimumPeople+noise.Margin(noisePeople))
}

type halfNoise struct{ cleanroom.Noise }

func (h halfNoise) Gaussian(x int64, sigma float64) int64 { return h.Noise.Gaussian(x, sigma/2) }

// ledger returns the budgets of a trial.
func (w Weakness) ledger(log *roomtest.Log) cleanroom.Ledger {
	caps := roomtest.Caps{All: Cap, Consumer: ConsumerCap}
	if w.EachAlone {
		caps.All = 1000 * Cap
	}
	sound := roomtest.NewLedger(log, map[cleanroom.DatasetRef]roomtest.Caps{Purchases: caps, Members: caps})
	if !w.FreshNoise && !w.Refund {
		return sound
	}
	return &brokenLedger{Ledger: sound, weakness: w, charged: map[cleanroom.RunID]cleanroom.Charge{}}
}

// brokenLedger is a ledger that forgets answers, or gives back.
type brokenLedger struct {
	*roomtest.Ledger
	weakness Weakness
	charged  map[cleanroom.RunID]cleanroom.Charge
	back     cleanroom.Rho
	repeats  cleanroom.RunID
}

func (l *brokenLedger) Begin(ctx context.Context, charge cleanroom.Charge, event audit.Event) (cleanroom.Run, error) {
	run, err := l.Ledger.Begin(ctx, charge, event)
	if err == nil && run.Answer != nil && l.weakness.FreshNoise {
		l.repeats--
		receipt, err := l.Log.Append(ctx, event)
		return cleanroom.Run{ID: l.repeats, Receipt: receipt}, err
	}
	l.charged[run.ID] = charge
	return run, err
}

func (l *brokenLedger) Finish(ctx context.Context, run cleanroom.RunID, release *cleanroom.Release, event audit.Event) (audit.Receipt, error) {
	if run < 0 {
		return l.Log.Append(ctx, event)
	}
	return l.Ledger.Finish(ctx, run, release, event)
}

func (l *brokenLedger) Fail(ctx context.Context, run cleanroom.RunID, event audit.Event) error {
	if l.weakness.Refund {
		l.back += l.charged[run].Cost
	}
	return l.Ledger.Fail(ctx, run, event)
}

func (l *brokenLedger) Left(ctx context.Context, consumer cleanroom.PartyID, datasets []cleanroom.DatasetRef) ([]cleanroom.Left, error) {
	left, err := l.Ledger.Left(ctx, consumer, datasets)
	for i := range left {
		left[i].Spent -= l.back
		left[i].Consumed -= l.back
	}
	return left, err
}

// everythingGoes are policies that forbid nothing: what they would forbid nobody can attack
// with.
type everythingGoes struct{}

func (everythingGoes) DecideRoom(context.Context, policies.RoomFacts) (policies.RoomDecision, error) {
	return policies.RoomDecision{Allow: true}, nil
}
