package cleanroom

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// ErrFailed is all that anybody is told who has no answer although the question was charged:
// why may depend on the data.
var ErrFailed = errors.New("the question has no answer")

// Denied is a refusal by the rules of the room or by the policies. It wraps
// [privacy.ErrForbidden].
type Denied struct{ Checks []string }

func (*Denied) Error() string { return "the question is not allowed" }

// Unwrap returns [privacy.ErrForbidden].
func (*Denied) Unwrap() error { return privacy.ErrForbidden }

// The checks of the room itself. Those of the policies are in docs/policies.md.
const (
	// CheckMember: whoever asks is a member of the room, which exists and is open. A room
	// that does not exist is not told apart from one that is none of the asker's business.
	CheckMember = "room_member"
	// CheckRole: the member has the role that it takes.
	CheckRole = "room_role"
	// CheckTemplate: the template exists, and all data owners and the asker have signed it.
	CheckTemplate = "room_template"
	// CheckMode: audiences are made from rooms whose answers are noisy.
	CheckMode = "room_mode"
)

// Policy is what the policies say; a revision of package policies is one. An error is a no.
type Policy interface {
	DecideRoom(ctx context.Context, facts policies.RoomFacts) (policies.RoomDecision, error)
}

// Config is how a [Service] differs from the usual one.
type Config struct {
	// Now is the clock, Sleep waits; nil means those of the machine.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Limit is how long after the charge a failure is told, whenever and why ever it happened;
	// zero means 30 s. The work on a question ends a sixth of it earlier, so that noting that
	// it was too much is over by then as well.
	Limit time.Duration
	// AtOnce is how many questions of one party are worked on at once; zero means 4.
	AtOnce int
	// Grid is at which distances from its arrival a question is answered; zero means 500 ms.
	Grid time.Duration
	// Seed draws, with a key, in which groups of a question people count who are in too many.
	// Nil means the question's digest: enough where nobody can choose their groups by it.
	Seed func(question audit.Digest) (int64, error)
	// Report is told why a question failed. It is for the operator alone. Nil tells nobody.
	Report func(cause error)
}

// Service answers questions about rooms.
type Service struct {
	rooms    Rooms
	policy   Policy
	ledger   Ledger
	executor Executor
	noise    Noise
	log      audit.Appender
	config   Config
	clock    Clock

	mu sync.Mutex
	// asking is how many questions of each party are worked on.
	asking map[PartyID]int
}

// New returns a service. All of its parts are needed.
func New(rooms Rooms, policy Policy, ledger Ledger, executor Executor, noise Noise, log audit.Appender, config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Sleep == nil {
		config.Sleep = Sleep
	}
	if config.AtOnce == 0 {
		config.AtOnce = 4
	}
	if config.Limit == 0 {
		config.Limit = 30 * time.Second
	}
	if config.Grid == 0 {
		config.Grid = 500 * time.Millisecond
	}
	if config.Seed == nil {
		config.Seed = func(question audit.Digest) (int64, error) {
			return int64(binary.BigEndian.Uint64(question[:8])), nil
		}
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	return &Service{
		rooms: rooms, policy: policy, ledger: ledger, executor: executor, noise: noise, log: log, config: config,
		clock: Clock{Now: config.Now, Sleep: config.Sleep, Grid: config.Grid, Limit: config.Limit}, asking: map[PartyID]int{},
	}
}

// Sleep waits, or returns why ctx ended.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Answer is what an asker gets.
type Answer struct {
	Release *Release
	// Repeated is whether the answer was there already; then it cost nothing.
	Repeated bool
	// Names are what the asker called the metrics, each with its name in the answer.
	Names map[string]string
	// Receipt is that of the entry of the release.
	Receipt audit.Receipt
}

// Ask answers a question, which is the document of a [Query].
//
// Whatever is wrong with it is told, with a place, before anything is charged: a
// [privacy.FieldError], a [Denied], an [Exhausted]. From the charge on there is an answer or
// [ErrFailed] and nothing else, at a time that does not depend on the data.
func (s *Service) Ask(ctx context.Context, principal privacy.Principal, room RoomID, document []byte) (*Answer, error) {
	arrived := s.config.Now()
	j, err := s.Judge(ctx, principal, room, document, Asking())
	if err != nil {
		return nil, err
	}
	charge := j.Charge()
	if !s.take(charge.Consumer) {
		return nil, fmt.Errorf("asking: %d questions of this party are worked on: %w", s.config.AtOnce, privacy.ErrUnavailable)
	}
	defer s.giveBack(charge.Consumer)
	run, err := s.ledger.Begin(ctx, charge, j.Event(audit.RoomCharged, audit.Done))
	if err != nil {
		return nil, fmt.Errorf("charging a question: %w", err)
	}
	from, grid := arrived, s.config.Grid
	charged := s.config.Now()
	if run.Answer != nil && charged.Sub(arrived) > s.config.Grid {
		// Somebody else was computing it for a while, and the rules may be others by now.
		now, err := s.Judge(ctx, principal, room, document, Asking())
		if err != nil {
			return nil, err
		}
		if now.digest != j.digest {
			return nil, fmt.Errorf("asking: the rules have changed meanwhile, and it is another question now: %w", privacy.ErrConflict)
		}
	}
	answer := &Answer{Release: run.Answer, Repeated: run.Answer != nil, Names: j.Question.names()}
	if answer.Repeated {
		event := j.Event(audit.RoomReleased, audit.Allowed)
		event.List = run.Answer.Digest
		answer.Receipt, err = s.ledger.Repeat(ctx, charge, event)
	} else {
		answer.Release, answer.Receipt, err = s.compute(ctx, j, charge, run.ID, arrived, charged)
	}
	if err != nil {
		s.config.Report(err)
		answer, err, from, grid = nil, ErrFailed, charged, s.config.Limit
	}
	if waited := s.clock.Tell(ctx, from, grid); waited != nil {
		return nil, waited
	}
	return answer, err
}

// take finds a place for a question of a party, which it has until it is told something: when
// it was computed must not show in when there is a place again.
func (s *Service) take(party PartyID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking[party] >= s.config.AtOnce {
		return false
	}
	s.asking[party]++
	return true
}

func (s *Service) giveBack(party PartyID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking[party]--; s.asking[party] == 0 {
		delete(s.asking, party)
	}
}

// compute runs a charged question to its end, even if the asker has gone: it is paid for.
func (s *Service) compute(ctx context.Context, j *Judged, charge Charge, run RunID, arrived, charged time.Time) (*Release, audit.Receipt, error) {
	working, cancel := s.clock.Work(ctx)
	defer cancel()
	var receipt audit.Receipt
	release, err := s.release(working, j, charge)
	if err == nil {
		receipt, err = s.keep(ctx, j, run, release, arrived, charged)
	}
	if err != nil {
		ctx, cancel, waited := s.clock.AwaitFailure(ctx, charged)
		defer cancel()
		return nil, audit.Receipt{}, errors.Join(err, waited, s.ledger.Fail(ctx, run, j.Event(audit.RoomFailed, audit.Denied)))
	}
	return release, receipt, nil
}

// keep notes an answer.
func (s *Service) keep(ctx context.Context, j *Judged, run RunID, release *Release, arrived, charged time.Time) (audit.Receipt, error) {
	ctx, cancel, err := s.clock.AwaitNote(ctx, arrived, charged)
	defer cancel()
	if err != nil {
		return audit.Receipt{}, err
	}
	release.ReleasedAt = s.config.Now().UTC()
	event := j.Event(audit.RoomReleased, audit.Allowed)
	event.List = release.Digest
	receipt, err := s.ledger.Finish(ctx, run, release, event)
	if err == nil && receipt.IsZero() {
		err = errors.New("the ledger took an answer without evidence")
	}
	return receipt, err
}

// release computes an answer. From here on data is touched.
func (s *Service) release(ctx context.Context, j *Judged, charge Charge) (release *Release, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			// What it says may have been computed from data.
			release, err = nil, errors.New("computing an answer broke off")
		}
	}()
	seed, err := s.config.Seed(charge.Question)
	if err != nil {
		return nil, err
	}
	q := j.Question
	groups, err := s.executor.Run(ctx, j.Room.ID, q.Plan(seed))
	if err != nil {
		return nil, err
	}
	n, err := q.fill(groups)
	if err != nil {
		return nil, err
	}
	if j.Room.Mode != ThresholdOnly {
		q.blur(n, s.noise)
	}
	answer := q.answer(n, charge.Question)
	return &Release{
		Room: j.Room.ID, Consumer: charge.Consumer, Question: charge.Question, Query: q.Canonical(),
		Snapshots: q.Snapshots(), Mode: j.Room.Mode, Cost: charge.Cost,
		Answer: answer, Digest: sha256.Sum256(answer),
	}, nil
}

// names returns what the asker called the metrics.
func (q *Question) names() map[string]string {
	names := make(map[string]string, len(q.query.Metrics))
	for _, m := range q.query.Metrics {
		name := string(m.Function)
		if m.Function != People {
			name += "(" + q.query.names(m.Column) + ")"
		}
		names[m.As] = name
	}
	return names
}

// Charge is what a question costs, and whom.
func (j *Judged) Charge() Charge {
	return Charge{
		Room: j.Room.ID, Consumer: j.Principal.Recipient, Question: j.digest, Cost: j.Question.Cost(), Datasets: j.Question.Datasets(),
	}
}

// Event is an entry about the question.
func (j *Judged) Event(kind audit.Kind, outcome audit.Outcome) audit.Event {
	return audit.Event{
		Kind: kind, Outcome: outcome, Principal: j.Principal,
		Purpose: j.Room.Purpose, Policy: j.Policy, List: j.digest,
	}
}
