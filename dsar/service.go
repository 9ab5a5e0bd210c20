package dsar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// RequestStore keeps the requests. What it returns is durable, and a change and its event
// are committed together or not at all.
type RequestStore interface {
	// Open records a request with its first step and its key. In the same transaction it
	// looks for an older open request of the same person or of one of the same tags, and of
	// the same kind, and links the new one to it; two that come at once do not miss each
	// other. A person who was erased meanwhile is left out. A complaint gets the next number
	// of the year of its first step. It returns the request as it was recorded.
	Open(ctx context.Context, r Request, step Step, wrapped []byte, event audit.Event) (Request, audit.Receipt, error)
	// Take commits a change. It MUST fail with [privacy.ErrConflict], having changed
	// nothing, if the stored version is not the one that the change starts from.
	Take(ctx context.Context, change Change) (audit.Receipt, error)
	// Find returns a request with its pauses, or [privacy.ErrNotFound].
	Find(ctx context.Context, id RequestID) (Request, error)
	// FindComplaint returns the request that is the complaint of a number, or
	// [privacy.ErrNotFound].
	FindComplaint(ctx context.Context, number ComplaintNumber) (RequestID, error)
	// WrappedKey returns the wrapped key of a request, or [privacy.ErrNotFound].
	WrappedKey(ctx context.Context, id RequestID) ([]byte, error)
	// Steps returns the steps of a request in order.
	Steps(ctx context.Context, id RequestID) ([]Step, error)
	// Duplicates returns the requests that are linked to one.
	Duplicates(ctx context.Context, id RequestID) ([]RequestID, error)
	// Queue returns at most limit requests that meet the filter: those that are open, what
	// is due first before the others; or, if the filter says so, all, the newest first.
	Queue(ctx context.Context, filter Filter, limit int) ([]Request, error)
	// Totals counts what is open.
	Totals(ctx context.Context, at time.Time) (Totals, error)
}

// People finds persons.
type People interface {
	// ResolveIdentifier finds a person by an identifier, see [privacy.ErrNotFound],
	// [privacy.ErrInvalid] for what has no normal form, and [privacy.ErrConflict] for what
	// two people have.
	ResolveIdentifier(ctx context.Context, identifier privacy.Identifier) (privacy.DataSubjectID, error)
	// AuditSubject returns what the log needs of a person, or [privacy.ErrNotFound].
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
}

// ServiceConfig has defaults for everything.
type ServiceConfig struct {
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Random draws ids; nil: crypto/rand.
	Random io.Reader
	// MayOpen says which recipients may open requests on behalf of people. Nil: none.
	MayOpen func(privacy.RecipientID) bool
	// Compute applies the law. Nil: [clock.Compute].
	Compute Compute
}

// Service handles requests: it asks the machine and the clock whether a step may be taken,
// and has it recorded together with its entry in the log.
type Service struct {
	store  RequestStore
	people People
	vault  *vault.Vault
	log    audit.Appender
	config ServiceConfig
}

// NewService returns a service. All but the config is required. The log takes what was
// refused; what is done goes through the store.
func NewService(store RequestStore, people People, v *vault.Vault, log audit.Appender, config ServiceConfig) (*Service, error) {
	if store == nil || people == nil || v == nil || log == nil {
		return nil, fmt.Errorf("making service of requests: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Compute == nil {
		config.Compute = clock.Compute
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Service{store, people, v, log, config}, nil
}

// now is rounded to what the database keeps.
func (s *Service) now() time.Time { return s.config.Now().UTC().Truncate(time.Microsecond) }

// Find returns a request to another room of the house. It asks nobody and logs nothing:
// what it returns is for deciding and not for showing.
func (s *Service) Find(ctx context.Context, id RequestID) (Request, error) {
	r, err := s.store.Find(ctx, id)
	if err != nil {
		return Request{}, fmt.Errorf("finding request: %w", err)
	}
	return r, nil
}

// FindComplaint returns which request the complaint of a number is, to a data protection
// officer or an auditor. Errors: [privacy.ErrForbidden], [privacy.ErrNotFound].
func (s *Service) FindComplaint(ctx context.Context, by privacy.Principal, number ComplaintNumber) (RequestID, error) {
	if !mayRead(by) {
		return RequestID{}, fmt.Errorf("finding a complaint: %w", privacy.ErrForbidden)
	}
	id, err := s.store.FindComplaint(ctx, number)
	if err != nil {
		return RequestID{}, fmt.Errorf("finding a complaint: %w", err)
	}
	return id, nil
}

// Key opens the key of a request, under which everything that is written in its course is
// sealed. Other rooms seal with labels of their own.
func (s *Service) Key(ctx context.Context, id RequestID) (*vault.PersonKey, error) {
	wrapped, err := s.store.WrappedKey(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading key of a request: %w", err)
	}
	return OpenRequestKey(s.vault, id, wrapped)
}

// Contents opens what the requester wrote, for another room of the house; like
// [Service.Find] it logs nothing.
func (s *Service) Contents(ctx context.Context, r *Request) (Contents, error) {
	key, err := s.Key(ctx, r.ID)
	if err != nil {
		return Contents{}, err
	}
	if r.Sealed == nil {
		return Contents{}, nil
	}
	return OpenContents(key, r.Sealed)
}

// Prepare asks whether a principal may take a step now and returns the change, with the
// event that belongs to it, for a store that commits more than the step alone. Nothing is
// changed, and a refusal is in the log when it returns. Errors:
//
//   - [*Refusal]: a rule stands against it;
//   - [privacy.ErrForbidden]: the role may not;
//   - [privacy.ErrNotFound]: there is no such request, or it is somebody else's.
func (s *Service) Prepare(ctx context.Context, by privacy.Principal, id RequestID, move Move) (Change, error) {
	rule, err := mayTake(by, move.Action)
	if err != nil {
		return Change{}, err
	}
	r, err := s.store.Find(ctx, id)
	if err != nil {
		return Change{}, fmt.Errorf("taking a step of a request: %w", err)
	}
	if by.Role == privacy.RoleService && r.OpenedBy != s.vault.ActorTag(by) {
		return Change{}, fmt.Errorf("taking a step of another's request: %w", privacy.ErrNotFound)
	}
	subject, err := s.subject(ctx, r.DataSubject)
	if err != nil {
		return Change{}, err
	}
	return s.prepare(ctx, by, rule, &r, subject, move)
}

// mayTake admits those whom the machine lets take a step.
func mayTake(by privacy.Principal, action Action) (*Rule, error) {
	rule, ok := ruleOf(action)
	if !ok || by.ID == "" || !slices.Contains(rule.By, by.Role) {
		return nil, fmt.Errorf("taking a step of a request: %w", privacy.ErrForbidden)
	}
	return rule, nil
}

// prepare is [Service.Prepare] for whoever has just read the request and knows the person:
// a step that came since is found out when the change is committed.
func (s *Service) prepare(ctx context.Context, by privacy.Principal, rule *Rule, r *Request, subject audit.Subject, move Move) (Change, error) {
	id, actor, at := r.ID, s.vault.ActorTag(by), s.now()
	next, _, err := advance(s.config.Compute, r, &move, at)
	if refusal, refused := errors.AsType[*Refusal](err); refused {
		return Change{}, s.refuse(ctx, by, subject, r, move.Action, refusal)
	}
	if err != nil {
		return Change{}, fmt.Errorf("taking a step of a request: %w", err)
	}
	step := Step{Request: id, Number: next.Version, Action: move.Action, From: r.State, To: next.State, At: at, By: actor}
	if detail := detailOf(&move); !detail.IsZero() {
		key, err := s.Key(ctx, id)
		if err != nil {
			return Change{}, err
		}
		if step.Sealed, err = sealDetail(key, step.Number, detail); err != nil {
			return Change{}, err
		}
	}
	event := audit.Event{Kind: rule.Event, Outcome: audit.Done, Principal: by, Subject: subject, List: move.List}
	if event.List == (audit.Digest{}) {
		event.List = StepDigest(id, step.Number, step.Action, move.Evidence)
	}
	return Change{Before: r.Version, After: next, Step: step, Event: event}, nil
}

// attempts is how often a step is tried again when another one came first.
const attempts = 4

// Take takes one step: see [Service.Prepare] for the errors. A step that another one
// overtook is tried again, unless the move names the version that it is for. That somebody
// was erased is no step of its own: it would say so and not be so.
func (s *Service) Take(ctx context.Context, by privacy.Principal, id RequestID, move Move) (Request, audit.Receipt, error) {
	if move.Action == ActionErase {
		return Request{}, audit.Receipt{}, fmt.Errorf("taking a step that is an erasure: %w", privacy.ErrForbidden)
	}
	for n := 1; ; n++ {
		change, err := s.Prepare(ctx, by, id, move)
		if err != nil {
			return Request{}, audit.Receipt{}, err
		}
		receipt, err := s.store.Take(ctx, change)
		if errors.Is(err, privacy.ErrConflict) && move.Version == 0 && n < attempts {
			continue
		}
		if err != nil {
			return Request{}, audit.Receipt{}, fmt.Errorf("taking a step of a request: %w", err)
		}
		if receipt.IsZero() {
			return Request{}, audit.Receipt{}, fmt.Errorf("taking a step of a request without a log entry: %w", privacy.ErrUnavailable)
		}
		return change.After, receipt, nil
	}
}

// refuse logs a refusal and returns it. If it cannot be logged, that is the error: the
// step is not taken either way.
func (s *Service) refuse(ctx context.Context, by privacy.Principal, subject audit.Subject, r *Request, action Action, refusal *Refusal) error {
	_, err := s.log.Append(ctx, audit.Event{
		Kind: audit.RequestRefused, Outcome: audit.Denied, Principal: by, Subject: subject,
		Checks: []string{refusal.Check}, List: StepDigest(r.ID, r.Version+1, action, audit.Digest{}),
	})
	if err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	if by.Role == privacy.RoleService {
		// Why would tell what is known of the person; the log keeps it.
		return &Refusal{Check: string(CheckState), Reason: "the step cannot be taken any more"}
	}
	return refusal
}

// subject returns what the log needs of a person. For somebody unknown it asks the store
// just the same, so that both take equally long, and for a key that does not open the
// entry is about somebody unknown: that must not stand in the way of a right.
func (s *Service) subject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error) {
	unknown := audit.Subject{Unknown: true}
	asked := id
	if id.IsZero() {
		var err error
		if asked, err = privacy.NewDataSubjectID(s.config.Random); err != nil {
			return audit.Subject{}, err
		}
	}
	subject, err := s.people.AuditSubject(ctx, asked)
	if errors.Is(err, privacy.ErrNotFound) || errors.Is(err, privacy.ErrDamaged) {
		return unknown, nil
	}
	if err != nil {
		return audit.Subject{}, fmt.Errorf("finding the person of a request: %w", err)
	}
	if id.IsZero() {
		return unknown, nil
	}
	return subject, nil
}
