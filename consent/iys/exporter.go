package iys

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Registry is told our own consents.
type Registry interface {
	// Submit reports a batch and returns the registry's name for it.
	Submit(ctx context.Context, consents []Consent) (request string, err error)
	// Results says how the consents of a batch fared, so far.
	Results(ctx context.Context, request string, size int) ([]Result, error)
}

// ExportStore keeps what was told.
type ExportStore interface {
	// Changed returns people, in the order of their ids behind after, who made a choice about
	// commercial messages elsewhere than at the registry that was recorded at since or
	// later, and the database's time when it looked.
	Changed(ctx context.Context, since time.Time, after privacy.DataSubjectID, limit int) ([]privacy.DataSubjectID, time.Time, error)
	// Told returns what the registry holds about a person, and, as far as that is known, what
	// it was sent and has not answered yet.
	Told(ctx context.Context, brand int64, person privacy.DataSubjectID) (held, waiting []Standing, err error)
	// Sent commits what was sent with its entry.
	Sent(ctx context.Context, brand int64, request string, items []Standing, event audit.Event) error
	// Waiting returns batches that the registry has not answered in full, oldest first.
	Waiting(ctx context.Context, brand int64) ([]SentBatch, error)
	// Answer commits how a batch fared with its entry. What was taken is what the registry
	// holds from then on.
	Answer(ctx context.Context, brand int64, request string, results []Result, event audit.Event) error
	// SetExported remembers until when choices were told. It needs no entry: it is what
	// Sent's say.
	SetExported(ctx context.Context, brand int64, until time.Time) error
	// Exported returns until when choices were told; zero: never.
	Exported(ctx context.Context, brand int64) (time.Time, error)
}

// SentBatch is a batch that waits for an answer.
type SentBatch struct {
	Request string
	// Size is how many consents it had at most, Open how many of them have no answer.
	Size, Open int
	SentAt     time.Time
}

// Ledger lists what somebody chose.
type Ledger interface {
	List(ctx context.Context, id privacy.DataSubjectID) ([]consent.Record, error)
}

// Addresses finds where somebody is reached, each in an address that is known to be theirs.
type Addresses interface {
	Of(ctx context.Context, person privacy.DataSubjectID) ([]privacy.Identifier, error)
}

// Exporter tells the registry our own consents.
type Exporter struct {
	store     ExportStore
	ledger    Ledger
	addresses Addresses
	registry  Registry
	vault     *vault.Vault
	config    ExportConfig
}

// ExportConfig has defaults for everything but the brand.
type ExportConfig struct {
	// Brand is the brand's number at the registry; required.
	Brand int64
	// Activated is until when old consents could be loaded; zero: it is past.
	Activated time.Time
	// Now is the clock of the rules; time.Now.
	Now func() time.Time
	// BatchSize is how many consents go out at once; [MaxBatch].
	BatchSize int
}

// NewExporter returns an exporter. registry may be nil for one that only plans. The error
// wraps [privacy.ErrInvalid] without a brand.
func NewExporter(store ExportStore, ledger Ledger, addresses Addresses, registry Registry, v *vault.Vault, config ExportConfig) (*Exporter, error) {
	if config.Brand <= 0 {
		return nil, fmt.Errorf("exporting to the registry: which brand's: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.BatchSize <= 0 || config.BatchSize > MaxBatch {
		config.BatchSize = MaxBatch
	}
	return &Exporter{store, ledger, addresses, registry, v, config}, nil
}

// Exported is what an export came to.
type Exported struct {
	// People were looked at, Sent consents went out in Batches.
	People, Sent, Batches int64
	// Unsendable consents were not sent, by the rule that the registry would have refused
	// them by. Those within_three_business_days are late, and that is a breach of the law.
	Unsendable map[Rule]int64
	// Unreachable choices are of people without a known address for the channel.
	Unreachable int64
}

// overlap is how much of the past is looked at again: choices become visible a little after
// the time that they bear.
const overlap = 10 * time.Minute

// Export tells the registry what people chose here since the last time: whoever may be sent
// messages by our ledger gets ONAY, whoever may not RET, but for what the registry knows. It
// checks each by the rules first ([Check]), so that nothing is sent that must be refused.
// dry plans and sends nothing.
func (e *Exporter) Export(ctx context.Context, by privacy.Principal, dry bool, step func(people int64)) (Exported, error) {
	out := Exported{Unsendable: map[Rule]int64{}}
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return out, fmt.Errorf("exporting to the registry: %w", privacy.ErrForbidden)
	}
	if e.registry == nil && !dry {
		return out, fmt.Errorf("exporting to the registry: there is no account: %w", privacy.ErrInvalid)
	}
	since, err := e.store.Exported(ctx, e.config.Brand)
	if err != nil {
		return out, fmt.Errorf("reading until when the registry knows: %w", err)
	}
	if !since.IsZero() {
		since = since.Add(-overlap)
	}
	var after privacy.DataSubjectID
	var until time.Time
	pending := &pendingBatch{}
	for {
		people, looked, err := e.store.Changed(ctx, since, after, 500)
		if err != nil {
			return out, fmt.Errorf("finding new choices: %w", err)
		}
		if until.IsZero() {
			until = looked
		}
		if len(people) == 0 {
			break
		}
		for _, person := range people {
			if err := e.plan(ctx, person, pending, &out); err != nil {
				return out, err
			}
			out.People++
			for len(pending.consents) >= e.config.BatchSize {
				if err := e.send(ctx, by, dry, pending, &out); err != nil {
					return out, err
				}
			}
		}
		after = people[len(people)-1]
		if step != nil {
			step(out.People)
		}
	}
	if len(pending.consents) > 0 {
		if err := e.send(ctx, by, dry, pending, &out); err != nil {
			return out, err
		}
	}
	if dry {
		return out, nil
	}
	return out, e.store.SetExported(ctx, e.config.Brand, until)
}

type pendingBatch struct {
	consents []Consent
	items    []Standing
}

// plan adds what the registry must be told about a person.
func (e *Exporter) plan(ctx context.Context, person privacy.DataSubjectID, pending *pendingBatch, out *Exported) error {
	records, err := e.ledger.List(ctx, person)
	if err != nil {
		return fmt.Errorf("reading choices: %w", err)
	}
	held, waiting, err := e.store.Told(ctx, e.config.Brand, person)
	if err != nil {
		return fmt.Errorf("reading what the registry knows: %w", err)
	}
	registered := map[standingKey]Registered{}
	for _, s := range append(held, waiting...) {
		if s.At.After(registered[s.key()].At) || registered[s.key()].Status == "" {
			registered[s.key()] = s.Registered
		}
	}
	var addresses []privacy.Identifier
	asked := false
	now := e.config.Now()
	for _, t := range Types() {
		said, ok := choice(records, t, now)
		if !ok {
			continue
		}
		if !asked {
			if addresses, err = e.addresses.Of(ctx, person); errors.Is(err, privacy.ErrNotFound) {
				return nil // erased meanwhile
			}
			if err != nil {
				return fmt.Errorf("finding addresses: %w", err)
			}
			asked = true
		}
		reached := false
		seen := map[[16]byte]bool{}
		for _, identifier := range addresses {
			if identifier.Kind != t.Kind() {
				continue
			}
			form, err := e.vault.Normalize(identifier)
			if err != nil {
				continue
			}
			c := said
			c.Recipient, reached = form, true
			item := Standing{Person: person, Address: AddressTag(e.vault, person, identifier.Kind, form.RevealPersonalData()), Type: t, As: Individual, Registered: Registered{c.Status, c.At}}
			if seen[item.Address] {
				continue
			}
			seen[item.Address] = true
			if err := e.add(&c, item, registered[item.key()], now, pending, out); err != nil {
				return err
			}
		}
		if !reached {
			out.Unreachable++
		}
	}
	return nil
}

func (e *Exporter) add(c *Consent, item Standing, before Registered, now time.Time, pending *pendingBatch, out *Exported) error {
	if before.Status == c.Status {
		return nil // it knows
	}
	if before.Status == "" && c.Status == Refused {
		return nil // nothing is registered, so nothing may be sent: that is what a refusal wants
	}
	broken, err := Check(c, before, Terms{Now: now, Activated: e.config.Activated})
	if err != nil {
		return fmt.Errorf("checking a consent: %w", err)
	}
	if len(broken) > 0 {
		out.Unsendable[broken[0]]++
		return nil
	}
	pending.consents = append(pending.consents, *c)
	pending.items = append(pending.items, item)
	return nil
}

// choice is what somebody's choices amount to for a type, as the registry wants it; ok is
// false if it was made at the registry, or if there is none.
func choice(records []consent.Record, t Type, now time.Time) (c Consent, ok bool) {
	of := consent.ForPurpose(records, Purpose)
	current := consent.Fold(of, t.Channel(), now)
	c = Consent{Type: t, RecipientType: Individual, Status: Refused, At: current.Since.In(Place).Truncate(time.Second)}
	switch current.State {
	case consent.StateGranted:
		c.Status = Approved
	case consent.StateWithdrawn, consent.StateRefused, consent.StateObjected, consent.StateExpired:
	default:
		return c, false
	}
	for i := range of {
		if of[i].ID != current.Record {
			continue
		}
		if of[i].Source == SourceWord {
			return c, false
		}
		c.Source = SourceOf(of[i].Source)
		if current.State == consent.StateExpired {
			c.Source = Decision
			if !of[i].ValidUntil.IsZero() {
				c.At = of[i].ValidUntil.In(Place).Truncate(time.Second)
			}
		}
		return c, true
	}
	return c, false
}

// sources are the registry's words for ours.
var sources = map[string]Source{
	"web": Web, "web_form": Web, "website": Web, "shop": PhysicalPlace, "store": PhysicalPlace, "branch": PhysicalPlace,
	"paper": WetSignature, "letter": WetSignature, "call_centre": CallCentre, "call_center": CallCentre, "phone": CallCentre,
	"email": ByEmail, "sms": ByMessage, "app": Mobile, "mobile": Mobile, "social": SocialMedia, "event": Event, "atm": CashMachine,
	"cli": Decision, "system": Decision,
}

// SourceOf is the registry's word for a source of ours; HS_EORTAM, some electronic place, for
// one that it has no word for.
func SourceOf(word string) Source {
	if s, ok := sources[word]; ok {
		return s
	}
	return Electronic
}

// send sends a batch, then notes it. A crash in between sends it again the next time, and the
// registry, which has it, refuses the repetition.
func (e *Exporter) send(ctx context.Context, by privacy.Principal, dry bool, pending *pendingBatch, out *Exported) error {
	n := min(len(pending.consents), e.config.BatchSize)
	if !dry {
		request, err := e.registry.Submit(ctx, pending.consents[:n])
		if err != nil {
			return fmt.Errorf("sending consents: %w", err)
		}
		event := audit.Event{Kind: audit.RegistryExchanged, Principal: by, Outcome: audit.Done, Purpose: Purpose, Count: uint64(n)}
		if err := e.store.Sent(ctx, e.config.Brand, request, pending.items[:n], event); err != nil {
			return fmt.Errorf("noting consents that were sent: %w", err)
		}
	}
	out.Sent += int64(n)
	out.Batches++
	pending.consents, pending.items = pending.consents[n:], pending.items[n:]
	return nil
}

// Answers is what the registry said of what waited.
type Answers struct {
	Batches, Taken, Waiting int64
	// Failed by the registry's code.
	Failed map[string]int64
}

// Collect asks how the batches fared that wait for an answer.
func (e *Exporter) Collect(ctx context.Context, by privacy.Principal) (Answers, error) {
	out := Answers{Failed: map[string]int64{}}
	if e.registry == nil {
		return out, fmt.Errorf("asking the registry: there is no account: %w", privacy.ErrInvalid)
	}
	batches, err := e.store.Waiting(ctx, e.config.Brand)
	if err != nil {
		return out, fmt.Errorf("finding batches that wait: %w", err)
	}
	for _, b := range batches {
		results, err := e.registry.Results(ctx, b.Request, b.Size)
		if err != nil {
			return out, fmt.Errorf("asking how a batch fared: %w", err)
		}
		var answered []Result
		for _, r := range results {
			switch {
			case r.Taken:
				out.Taken++
			case r.Failure != nil:
				out.Failed[r.Failure.Code]++
			default:
				out.Waiting++
				continue
			}
			answered = append(answered, r)
		}
		out.Batches++
		if len(answered) == 0 {
			continue
		}
		event := audit.Event{Kind: audit.RegistryExchanged, Principal: by, Outcome: audit.Done, Purpose: Purpose, Count: uint64(len(answered))}
		if err := e.store.Answer(ctx, e.config.Brand, b.Request, answered, event); err != nil {
			return out, fmt.Errorf("noting how a batch fared: %w", err)
		}
	}
	return out, nil
}
