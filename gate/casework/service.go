package casework

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Store keeps the registry.
type Store interface {
	// Open appends the case and the event in one transaction and returns after both are
	// durable. It dates the case by its own clock and lets it end Life later; both times
	// of the argument are ignored.
	//
	// [privacy.ErrNotFound]: the person does not exist (any more).
	// [privacy.ErrConflict]: the registry holds a case with this ID.
	// [privacy.ErrUnavailable]: nothing was recorded, or the outcome is not known.
	Open(ctx context.Context, c Case, event audit.Event) (Case, audit.Receipt, error)
	// Find returns the case, or an error that wraps [privacy.ErrNotFound].
	Find(ctx context.Context, id ID) (Case, error)
	// Close ends an open case and appends the event in one transaction. It must fail with
	// [privacy.ErrConflict], having changed nothing, when the case is not open any more.
	Close(ctx context.Context, c Case, event audit.Event) (audit.Receipt, error)
	// List returns at most limit cases that meet the filter, the newest first, and the
	// store's time.
	List(ctx context.Context, filter Filter, limit int) ([]Case, time.Time, error)
}

// Filter picks cases; its zero value picks all.
type Filter struct {
	// DataSubject is whom they are about; zero is everybody.
	DataSubject privacy.DataSubjectID
	// Recipient is who handles them; empty is everybody.
	Recipient privacy.RecipientID
	// All includes what is closed or has ended.
	All bool
}

// Subjects finds what the log needs to know of a person.
type Subjects interface {
	// Subject returns the person with their blinding key, or [privacy.ErrNotFound].
	Subject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
}

// Config has defaults for everything.
type Config struct {
	// Random draws case IDs; crypto/rand.Reader.
	Random io.Reader
	// MayHandle says whether a recipient may have cases of a kind at all: one who could
	// open cases as it likes would open conversations to itself. Nil: nobody may.
	MayHandle func(recipient privacy.RecipientID, kind Kind) bool
}

// Service opens and closes cases.
type Service struct {
	store    Store
	subjects Subjects
	config   Config
}

// New returns a service. Both store and subjects are required.
func New(store Store, subjects Subjects, config Config) *Service {
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Service{store: store, subjects: subjects, config: config}
}

// Request asks for a case.
type Request struct {
	DataSubject privacy.DataSubjectID
	// Recipient is who will handle it. A service opens cases for itself alone, and may
	// leave it empty.
	Recipient privacy.RecipientID
	Kind      Kind
}

// Opened is a new case with the evidence that it stands in the log.
type Opened struct {
	Case
	Receipt audit.Receipt
}

// Open opens a case. Errors: [privacy.ErrForbidden], [privacy.FieldError],
// [privacy.ErrNotFound] for nobody, [privacy.ErrUnavailable].
func (s *Service) Open(ctx context.Context, by privacy.Principal, request Request) (Opened, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return Opened{}, fmt.Errorf("opening a case: %w", privacy.ErrForbidden)
	}
	if _, err := ParseKind(string(request.Kind)); err != nil {
		return Opened{}, &privacy.FieldError{Pointer: "/kind", Reason: "must be support or complaint"}
	}
	recipient := request.Recipient
	if by.Role == privacy.RoleService {
		if recipient != "" && recipient != by.Recipient {
			return Opened{}, fmt.Errorf("opening a case for another recipient: %w", privacy.ErrForbidden)
		}
		recipient = by.Recipient
	}
	if recipient == "" {
		return Opened{}, &privacy.FieldError{Pointer: "/recipient", Reason: "must say who handles the case"}
	}
	if s.config.MayHandle == nil || !s.config.MayHandle(recipient, request.Kind) {
		if by.Role == privacy.RoleService {
			return Opened{}, fmt.Errorf("opening a case of a kind that the recipient does not handle: %w", privacy.ErrForbidden)
		}
		return Opened{}, &privacy.FieldError{Pointer: "/recipient", Reason: "does not handle cases of this kind"}
	}
	c := Case{DataSubject: request.DataSubject, Recipient: recipient, Kind: request.Kind}
	if _, err := io.ReadFull(s.config.Random, c.ID[:]); err != nil {
		return Opened{}, fmt.Errorf("drawing case id: %w", err)
	}
	event, err := s.event(ctx, audit.CaseOpened, by, c)
	if err != nil {
		return Opened{}, err
	}
	c, receipt, err := s.store.Open(ctx, c, event)
	if err != nil {
		return Opened{}, fmt.Errorf("opening a case: %w", err)
	}
	return Opened{Case: c, Receipt: receipt}, nil
}

// Close ends a case before its time: whoever handles it, or a data protection officer.
// Somebody else's case is not found. [privacy.ErrConflict]: it is not open any more.
func (s *Service) Close(ctx context.Context, by privacy.Principal, id ID) (audit.Receipt, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return audit.Receipt{}, fmt.Errorf("closing a case: %w", privacy.ErrForbidden)
	}
	c, err := s.store.Find(ctx, id)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("closing a case: %w", err)
	}
	if by.Role == privacy.RoleService && (by.Recipient == "" || c.Recipient != by.Recipient) {
		return audit.Receipt{}, fmt.Errorf("closing somebody else's case: %w", privacy.ErrNotFound)
	}
	event, err := s.event(ctx, audit.CaseClosed, by, c)
	if err != nil {
		return audit.Receipt{}, err
	}
	receipt, err := s.store.Close(ctx, c, event)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("closing a case: %w", err)
	}
	return receipt, nil
}

// MaxListed bounds a list of cases.
const MaxListed = 1000

// List returns cases, at most MaxListed, the newest first, and the time by which they are
// open or not.
func (s *Service) List(ctx context.Context, filter Filter) ([]Case, time.Time, error) {
	cases, at, err := s.store.List(ctx, filter, MaxListed)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("listing cases: %w", err)
	}
	return cases, at, nil
}

// event is what the log says of a change.
func (s *Service) event(ctx context.Context, kind audit.Kind, by privacy.Principal, c Case) (audit.Event, error) {
	subject, err := s.subjects.Subject(ctx, c.DataSubject)
	if err != nil {
		return audit.Event{}, fmt.Errorf("finding the person of a case: %w", err)
	}
	event := audit.Event{Kind: kind, Outcome: audit.Done, Principal: by, Subject: subject}
	if c.Recipient != by.Recipient {
		event.Recipient = c.Recipient
	}
	return event, nil
}
