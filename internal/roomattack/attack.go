package roomattack

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

// clock is when everything begins. Nothing here waits.
var clock = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

// Step is one thing that attackers do: they ask.
type Step struct {
	Who      cleanroom.PartyID
	Question []byte
	Epoch    int // in which they ask
	// Times is how often they ask it; zero means once.
	Times int
}

// Attack is a way to find out whether one person is in the data.
type Attack struct {
	Name  string
	World World
	// Contracts are those of [Members] and [Purchases], in this order; nil are the usual ones.
	Contracts []*cleanroom.SignedContract
	Steps     []Step
	// Budget is all that the attackers may spend together on the person, for what they look at:
	// what is left of it, and the clock, must tell nothing.
	Budget cleanroom.Rho
	// Look is what the attackers look at; empty: at all numbers of all answers.
	Look Look
	// Work is called by the executor, which takes so long and then fails, if there is an error.
	Work func(groups []cleanroom.Group) (time.Duration, error)
}

// Look is what attackers look at, and at nothing else.
type Look string

const (
	// LookAtUplift compares groups with everybody, whom the first step is about.
	LookAtUplift Look = "uplift"
	// LookAtTold sees which groups are told, and takes the exact number of people to decide it.
	LookAtTold Look = "told"
	// LookAtBudget sees what is left after a question.
	LookAtBudget Look = "budget"
	// LookAtClock sees how long a question takes.
	LookAtClock Look = "clock"
)

// Outcome is how an attack went.
type Outcome struct {
	Trials, Right int
	// Asked is how many questions were answered, Refused how many had no budget left, Failed
	// how many had no answer.
	Asked, Refused, Failed int
}

// Accuracy is how often the attackers were right.
func (o Outcome) Accuracy() float64 { return float64(o.Right) / float64(o.Trials) }

// Target is what is attacked.
type Target struct {
	Mode cleanroom.Mode
	Weakness
	// Worlds compute without the person and with them, Budgets returns the ledger of a trial; nil
	// is in memory, where alone a Weakness of either shows.
	Worlds  *[2]cleanroom.Executor
	Budgets func(trial uint64) cleanroom.Ledger
}

// Run attacks many times: in every second one, as a coin has it, the person is in the data.
// The seed decides about coins and noise.
func (a *Attack) Run(ctx context.Context, target Target, trials int, seed uint64) (Outcome, error) {
	workers := min(runtime.GOMAXPROCS(0), trials)
	outcomes, failures := make([]Outcome, workers), make([]error, workers)
	var running sync.WaitGroup
	for w := range workers {
		running.Go(func() {
			s := newSiege(a, target)
			for trial := w; trial < trials && failures[w] == nil; trial += workers {
				failures[w] = s.trial(ctx, seed, uint64(trial), &outcomes[w])
			}
		})
	}
	running.Wait()
	var all Outcome
	for _, o := range outcomes {
		all.Trials += o.Trials
		all.Right += o.Right
		all.Asked += o.Asked
		all.Refused += o.Refused
		all.Failed += o.Failed
	}
	return all, errors.Join(failures...)
}

// siege is one worker's room, which is set up anew for each trial.
type siege struct {
	attack   *Attack
	target   Target
	rooms    *roomtest.Rooms
	epochs   map[int]epoch
	executor *bothWorlds
	now      time.Time // to which everybody who waits brings it
}

// epoch is the room as it is between two matches.
type epoch struct {
	room      *cleanroom.Room
	snapshots []cleanroom.MatchedSnapshot
}

func newSiege(a *Attack, target Target) *siege {
	signed := a.Contracts
	if signed == nil {
		signed = contracts(1)
	}
	s := &siege{attack: a, target: target, rooms: &roomtest.Rooms{Contracts: signed}, epochs: map[int]epoch{}, now: clock}
	s.executor = newBothWorlds(a, target.Weakness, func(d time.Duration) { s.now = s.now.Add(d) })
	if target.Worlds != nil {
		s.executor.worlds, s.executor.afresh = *target.Worlds, true
	}
	for _, step := range a.Steps {
		s.epochs[step.Epoch] = epoch{room(target.Mode, step.Epoch), snapshots(signed, step.Epoch)}
	}
	return s
}

// service returns a service with budgets and noise of its own.
func (s *siege) service(seed, number uint64) (*cleanroom.Service, cleanroom.Ledger) {
	log := &roomtest.Log{}
	ledger := s.target.ledger(log)
	if s.target.Budgets != nil {
		ledger = s.target.Budgets(number)
	}
	limit := time.Duration(0) // the usual one
	if s.target.Worlds != nil {
		limit = 10 * time.Minute // a database is there for many and need not be quick
	}
	return cleanroom.New(s.rooms, everythingGoes{}, ledger, s.executor, s.target.noise(roomtest.NewNoise(seed)), log, cleanroom.Config{
		Limit: limit,
		Now:   func() time.Time { return s.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			if !s.target.NoGrid {
				s.now = s.now.Add(d)
			}
			return nil
		},
	}), ledger
}

func (s *siege) trial(ctx context.Context, seed, number uint64, outcome *Outcome) error {
	coin := rand.New(rand.NewPCG(seed, 2*number))
	in := coin.IntN(2) == 1
	s.executor.in = in
	service, ledger := s.service(seed^(2*number+1)<<20, number)
	evidence := 0.0
	h := hearing{siege: s}
	for _, step := range s.attack.Steps {
		s.rooms.Room, s.rooms.Snapshots = s.epochs[step.Epoch].room, s.epochs[step.Epoch].snapshots
		principal := privacy.Principal{ID: string(step.Who), Role: privacy.RoleService, Recipient: step.Who}
		for range max(1, step.Times) {
			before, err := ledger.Left(ctx, step.Who, []cleanroom.DatasetRef{Purchases})
			if err != nil {
				return err
			}
			h.asked = s.now
			answer, err := service.Ask(ctx, principal, roomID, step.Question)
			switch {
			case errors.Is(err, cleanroom.ErrExhausted):
				outcome.Refused++
				continue
			case errors.Is(err, cleanroom.ErrFailed):
				outcome.Failed++
			case err != nil:
				return fmt.Errorf("%s: %w", s.attack.Name, err)
			default:
				outcome.Asked++
			}
			after, err := ledger.Left(ctx, step.Who, []cleanroom.DatasetRef{Purchases})
			if err != nil {
				return err
			}
			e, err := h.hear(answer, after[0].Spent == before[0].Spent)
			if err != nil {
				return fmt.Errorf("%s: %w", s.attack.Name, err)
			}
			evidence += e
		}
	}
	guess := evidence > 0
	if evidence == 0 || math.IsNaN(evidence) {
		guess = coin.IntN(2) == 1
	}
	outcome.Trials++
	if guess == in {
		outcome.Right++
	}
	return nil
}
