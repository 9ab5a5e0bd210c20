package activate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// MinimumPeople is how many people an audience must have, whatever contracts say.
const MinimumPeople = 1000

// MaximumNoise is how noisy an activation may be, in people. With much more noise an audience of
// nobody would pass for a large one every twentieth time, and such a question costs next to
// nothing.
const MaximumNoise = MinimumPeople / 10

// CheckAudience is the check that fails where there are, as far as noise lets anybody know,
// too few.
const CheckAudience = "audience.large_enough"

// Rooms judges questions and knows which snapshots they are about.
type Rooms interface {
	Judge(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte, intent cleanroom.Intent) (*cleanroom.Judged, error)
}

// Seats finds who passes a question, by their seats in a snapshot.
type Seats interface {
	Seats(ctx context.Context, room cleanroom.RoomID, plan *cleanroom.Plan, snapshot cleanroom.SnapshotID, found func(seat [16]byte) error) error
}

// People reads the house's own people.
type People interface {
	// Present returns who is in a snapshot.
	Present(ctx context.Context, snapshot cleanroom.SnapshotID) ([]privacy.DataSubjectID, error)
	// Look reads what is held of people who are there and not restricted.
	Look(ctx context.Context, wanted draw.Wanted, people []privacy.DataSubjectID) ([]draw.Held, time.Time, error)
}

// Names makes the pseudonyms of a recipient.
type Names interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// Config has what an [Activator] needs; all but Now, Sleep, Random, Limit and Report is required.
type Config struct {
	Rooms     Rooms
	Snapshots cleanroom.Rooms
	Seats     Seats
	People    People
	Names     Names
	Ledger    cleanroom.Ledger
	Noise     cleanroom.Noise
	Vault     *vault.Vault
	// Seat is where somebody sits.
	Seat func(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error)
	// Crowd returns a key by which people are made up who fill lists of a recipient of a room: always
	// the same, and nobody else's.
	Crowd func(room cleanroom.RoomID, recipient privacy.RecipientID) ([32]byte, error)
	// Rules are by which consent is judged, under the policies in force.
	Rules func() draw.Rules
	// Now is the clock, Sleep waits; nil means those of the machine.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Limit is how long after the charge a failure is told; zero means 2 minutes. The work ends
	// a sixth of it earlier.
	Limit time.Duration
	// Random tells one activation from the next; nil means crypto/rand.Reader.
	Random io.Reader
	// Report is told why an activation failed. Nil tells nobody.
	Report func(cause error)
}

// Activator makes audiences.
type Activator struct {
	config Config
	clock  cleanroom.Clock
}

// New returns an activator.
func New(config Config) *Activator {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Sleep == nil {
		config.Sleep = cleanroom.Sleep
	}
	if config.Limit <= 0 {
		config.Limit = 2 * time.Minute
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	return &Activator{config, cleanroom.Clock{Now: config.Now, Sleep: config.Sleep, Grid: grid, Limit: config.Limit}}
}

// Audience is a list of pseudonyms, in their order, which says nothing. Some are of nobody.
type Audience struct {
	Purpose    privacy.Purpose
	Pseudonyms []pseudonym.Pseudonym
	// Digest is the SHA-256 of them, each followed by a line feed. The entry of Receipt has the
	// SHA-256 of Kept, which names it.
	Digest  audit.Digest
	Receipt audit.Receipt
}

// Kept is all that the house keeps of an audience, as canonical JSON.
func (a *Audience) Kept() string {
	return `{"activated":true,"list_sha256":"` + hex.EncodeToString(a.Digest[:]) + `"}`
}

// grid is at which distances from its arrival an activation is answered.
const grid = 500 * time.Millisecond

// Activate makes an audience of the people whom a question is about. Errors before the charge
// say what is wrong; from then on there is a list, a [cleanroom.Denied] because it would be too
// short, or [cleanroom.ErrFailed]. Each activation is charged, the same one again too.
func (a *Activator) Activate(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte) (*Audience, error) {
	arrived := a.config.Now()
	r, err := a.prepare(ctx, principal, room, document)
	if err != nil {
		return nil, err
	}
	run, err := a.config.Ledger.Begin(ctx, r.charge, r.event(audit.RoomCharged, audit.Done))
	if err != nil {
		return nil, fmt.Errorf("charging an activation: %w", err)
	}
	from, step := arrived, grid
	charged := a.config.Now()
	audience, err := r.run(ctx, run.ID, arrived, charged)
	denied := (*cleanroom.Denied)(nil)
	if err != nil && !errors.As(err, &denied) {
		a.config.Report(err)
		audience, err, from, step = nil, cleanroom.ErrFailed, charged, a.config.Limit
	}
	if waited := a.clock.Tell(ctx, from, step); waited != nil {
		return nil, waited
	}
	return audience, err
}

// run is one activation that may be carried out.
type run struct {
	*Config
	judged   *cleanroom.Judged
	purpose  *policies.Purpose
	noise    int
	rules    draw.Rules
	snapshot cleanroom.SnapshotID // the first one of the house's own people
	held     []privacy.DataCategory
	charge   cleanroom.Charge
	question []byte
	clock    *cleanroom.Clock
}

func (a *Activator) prepare(ctx context.Context, principal privacy.Principal, room cleanroom.RoomID, document []byte) (*run, error) {
	query, err := cleanroom.ParseQuery(document)
	if err != nil {
		return nil, err
	}
	switch {
	case len(query.Metrics) > 0:
		return nil, &privacy.FieldError{Pointer: "/metrics", Reason: "an activation computes nothing"}
	case len(query.GroupBy) > 0:
		return nil, &privacy.FieldError{Pointer: "/group_by", Reason: "an activation is about one group"}
	}
	r := &run{Config: &a.config, clock: &a.clock, rules: a.config.Rules()}
	var known bool
	if r.purpose, known = r.rules.Catalogue.Purpose(query.Purpose); !known {
		return nil, &privacy.FieldError{Pointer: "/purpose", Reason: "is not in the catalogue"}
	}
	if r.judged, err = a.config.Rooms.Judge(ctx, principal, room, document, cleanroom.Activating()); err != nil {
		return nil, err
	}
	// The query may leave it to a template to say what is asked, and how noisily.
	if !r.judged.Question.IsBare() {
		return nil, &privacy.FieldError{Pointer: "/template", Reason: "an activation is about one group and computes nothing, and this template does"}
	}
	if r.noise = r.judged.Question.NoisePeople(); r.noise > MaximumNoise {
		reason := fmt.Sprintf("an activation has noise of at most %d people: with more of it nobody could tell whether there are enough", MaximumNoise)
		return nil, &privacy.FieldError{Pointer: "/privacy/noise_people", Reason: reason}
	}
	if err := r.findHouse(ctx); err != nil {
		return nil, err
	}
	// It is a question of its own, and never the same one twice.
	h := sha256.New()
	judged := r.judged.Charge()
	_, _ = h.Write(append([]byte("mahrem room activation v1\n"), judged.Question[:]...)) // never fails
	if _, err := io.CopyN(h, a.config.Random, 32); err != nil {
		return nil, fmt.Errorf("drawing a number: %w", err)
	}
	judged.Question = audit.Digest(h.Sum(nil))
	r.charge, r.question = judged, r.judged.Question.Canonical()
	return r, nil
}

// findHouse finds a dataset of the question that is the house's own: of others' people nothing
// leads back to anybody. What is in any of them takes part in who is chosen, and consent must
// cover it.
func (r *run) findHouse(ctx context.Context) error {
	snapshots, err := r.Snapshots.SnapshotsOf(ctx, r.judged.Room.ID)
	if err != nil {
		return fmt.Errorf("reading snapshots: %w", err)
	}
	for i := range snapshots {
		s := &snapshots[i]
		if s.Prepared.Contract.Source != cleanroom.FromHouse || !slices.Contains(r.judged.Question.Snapshots(), s.ID) {
			continue
		}
		if r.snapshot == 0 {
			r.snapshot = s.ID
		}
		for _, category := range draw.CategoriesOf(s.Prepared.Contract) {
			if !slices.Contains(r.held, category) {
				r.held = append(r.held, category)
			}
		}
	}
	if r.snapshot == 0 {
		return &privacy.FieldError{Pointer: "/from", Reason: "an audience is of people of the house: one dataset must be drawn from it"}
	}
	return nil
}

func (r *run) event(kind audit.Kind, outcome audit.Outcome) audit.Event {
	event := r.judged.Event(kind, outcome)
	event.Purpose, event.List = r.purpose.ID, r.charge.Question
	return event
}

// run works on a charged activation to its end.
func (r *run) run(ctx context.Context, id cleanroom.RunID, arrived, charged time.Time) (*Audience, error) {
	working, cancel := r.clock.Work(ctx)
	defer cancel()
	result, err := r.carryOut(working)
	if err == nil {
		err = r.keep(ctx, id, result, arrived, charged)
	}
	if err != nil {
		ctx, cancel, waited := r.clock.AwaitFailure(ctx, charged)
		defer cancel()
		return nil, errors.Join(err, waited, r.Ledger.Fail(ctx, id, r.event(audit.RoomFailed, audit.Denied)))
	}
	if result.audience == nil {
		return nil, &cleanroom.Denied{Checks: result.event.Checks}
	}
	return result.audience, nil
}

// result is what became of an activation, and what is noted of that. Without an audience there
// were too few.
type result struct {
	audience *Audience
	release  *cleanroom.Release
	event    audit.Event
}

// keep notes what became of an activation.
func (r *run) keep(ctx context.Context, id cleanroom.RunID, result *result, arrived, charged time.Time) error {
	ctx, cancel, err := r.clock.AwaitNote(ctx, arrived, charged)
	defer cancel()
	if err != nil {
		return err
	}
	result.release.ReleasedAt = r.Now().UTC()
	receipt, err := r.Ledger.Finish(ctx, id, result.release, result.event)
	if err == nil && receipt.IsZero() {
		err = errors.New("the ledger took an activation without evidence")
	}
	if err == nil && result.audience != nil {
		result.audience.Receipt = receipt
	}
	return err
}

// carryOut makes the audience. From here on data is touched.
func (r *run) carryOut(ctx context.Context) (made *result, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			// What it says may have been computed from data.
			made, err = nil, errors.New("making an audience broke off")
		}
	}()
	names, err := r.people(ctx)
	if err != nil {
		return nil, err
	}
	return r.fill(names)
}

// fill decides whether there are enough, and fills the list.
func (r *run) fill(names []pseudonym.Pseudonym) (*result, error) {
	noisy := r.Noise.Gaussian(int64(len(names)), float64(r.noise))
	least := int64(max(MinimumPeople, r.judged.Question.Rule.MinimumPeople, r.purpose.AudienceMinimum)) + noise.Margin(r.noise)
	if noisy < least {
		release, event := r.release([]byte(`{"activated":false}`)), r.event(audit.RoomDenied, audit.Denied)
		event.Checks, event.List = []string{CheckAudience}, release.Digest
		return &result{nil, release, event}, nil
	}
	// How many there are follows from the noisy number and from who is made up: it gives nothing
	// more away.
	more := noisy + int64(math.Ceil(6*float64(r.noise))) - int64(len(names))
	if more < 0 {
		return nil, errors.New("the noise is further off than a list can show") // once in a billion
	}
	own, err := r.Names.Of(r.charge.Consumer)
	if err != nil {
		return nil, err
	}
	key, err := r.Crowd(r.judged.Room.ID, r.charge.Consumer)
	if err != nil {
		return nil, err
	}
	err = newCrowd(key).fill(r.judged.Question, more, func(nobody privacy.DataSubjectID) error {
		name, err := own.Of(nobody)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("filling an audience: %w", err)
	}
	slices.Sort(names)
	audience := &Audience{Purpose: r.purpose.ID, Pseudonyms: names, Digest: digest(names)}
	// The entry commits to what is kept of it, and that to the list.
	release, event := r.release([]byte(audience.Kept())), r.event(audit.RoomActivated, audit.Allowed)
	event.List = release.Digest
	return &result{audience, release, event}, nil
}

// release is what the ledger keeps: that it was done, and no pseudonym.
func (r *run) release(answer []byte) *cleanroom.Release {
	return &cleanroom.Release{
		Room: r.judged.Room.ID, Consumer: r.charge.Consumer, Question: r.charge.Question, Query: r.question,
		Snapshots: r.judged.Question.Snapshots(), Mode: r.judged.Room.Mode, Cost: r.charge.Cost,
		Answer: answer, Digest: sha256.Sum256(answer),
	}
}

func digest(names []pseudonym.Pseudonym) audit.Digest {
	h := sha256.New()
	for _, name := range names {
		_, _ = io.WriteString(h, string(name)+"\n") // never fails
	}
	return audit.Digest(h.Sum(nil))
}
