package consent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Store keeps the ledger.
type Store interface {
	// Add appends the record and the event in one transaction and returns after both
	// are durable. The event's List becomes the record's commitment. It dates a record without EffectiveAt by its own clock, later than
	// every record that it holds for the same person and purpose, and it never dates a
	// record later than that clock. A record that the ledger holds already, with its ID and
	// the same content, changes nothing and is no error.
	//
	// [privacy.ErrNotFound]: the person does not exist (any more).
	// [privacy.ErrConflict]: the ledger holds another record with this ID.
	// [privacy.ErrUnavailable]: nothing was recorded, or the outcome is not known.
	Add(ctx context.Context, record Record, event audit.Event) (Added, error)
	// AddAll is Add for several records about one person, with an event for each in their
	// order: all of them are added or none, and the last receipt is behind all others.
	AddAll(ctx context.Context, records []Record, events []audit.Event) ([]audit.Receipt, error)
	// List returns every record of the person, oldest first. Nobody and a person
	// without records are the same: an empty list.
	List(ctx context.Context, id privacy.DataSubjectID) ([]Record, error)
}

// Catalogue says which words exist. It is asked anew at each change, so that an
// implementation may follow policy revisions.
type Catalogue interface {
	KnowsPurpose(privacy.Purpose) bool
	KnowsChannel(privacy.Channel) bool
	KnowsCategory(privacy.DataCategory) bool
}

// Subjects finds what the log needs to know of a person.
type Subjects interface {
	// Subject returns the person with their blinding key, or [privacy.ErrNotFound].
	Subject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
}

// Config has defaults for everything.
type Config struct {
	// Now is the clock against which times in the future are refused; time.Now.
	Now func() time.Time
	// Random draws record IDs; crypto/rand.Reader.
	Random io.Reader
	// Childhood tells when the law called a person a child, for showing what their ledger
	// amounts to. Nil: nobody knows anybody's age.
	Childhood func(ctx context.Context, id privacy.DataSubjectID) (Childhood, error)
	// OnConsentOnly are the purposes that stand on consent and could not on a contract or a
	// law: what a withdrawal of everything ends, whatever was said before. Nil: none.
	OnConsentOnly func() []privacy.Purpose
	// MayGrant says whether a service may record that a person agreed to a purpose: whoever
	// profits from a yes must not be able to make one for any purpose it likes. A no is
	// taken from everybody. Nil: only a data protection officer records grants.
	MayGrant func(recipient privacy.RecipientID, purpose privacy.Purpose) bool
	// Notices is the register of what people are shown, which a yes must name a version of.
	// Nil: names of notices are taken as they are.
	Notices Notices
}

// Service takes changes of consent and shows what is recorded.
type Service struct {
	store     Store
	subjects  Subjects
	catalogue Catalogue
	config    Config
}

// New returns a service. All of store, subjects and catalogue are required.
func New(store Store, subjects Subjects, catalogue Catalogue, config Config) *Service {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Service{store: store, subjects: subjects, catalogue: catalogue, config: config}
}

// Receipt is what somebody who changed a consent gets: evidence that the change is
// durable, and the token that binds later queries to it.
type Receipt struct {
	Added
	Token Token
}

// Grant records that the person agreed.
func (s *Service) Grant(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, Granted, change)
}

// Renew records that the person was asked again and agreed again.
func (s *Service) Renew(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, Renewed, change)
}

// Refuse records that the person was asked and said no.
func (s *Service) Refuse(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, Refused, change)
}

// Withdraw records that the person takes a grant back. There need not be one: a
// withdrawal is never turned away (GDPR Article 7(3)).
func (s *Service) Withdraw(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, Withdrawn, change)
}

// Object records an objection (GDPR Article 21, KVKK Article 11).
func (s *Service) Object(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, Objected, change)
}

// GrantAsGuardian records that the holder of parental responsibility agreed for a child
// (GDPR Article 8(1)). It counts if their authority was verified, and while the person is a
// child.
func (s *Service) GrantAsGuardian(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, GuardianGranted, change)
}

// WithdrawAsGuardian records that a guardian takes a grant back. Nobody has to be verified
// for it.
func (s *Service) WithdrawAsGuardian(ctx context.Context, by privacy.Principal, change Change) (Receipt, error) {
	return s.Record(ctx, by, GuardianWithdrawn, change)
}

// Record records any action that somebody reports. What has expired nobody reports: the
// house finds it out.
func (s *Service) Record(ctx context.Context, by privacy.Principal, action Action, change Change) (Receipt, error) {
	if action == Expired {
		return Receipt{}, &privacy.FieldError{Pointer: "/action", Reason: "is the ledger's own to find out"}
	}
	if change.Actor == ByRegistry {
		return Receipt{}, &privacy.FieldError{Pointer: "/actor", Reason: "what a registry says comes by the exchange with it"}
	}
	return s.add(ctx, by, action, change)
}

// MayRecord reports whether the caller may record that action about that purpose: everybody
// who may record anything records a no.
func (s *Service) MayRecord(by privacy.Principal, action Action, purpose privacy.Purpose) bool {
	switch by.Role {
	case privacy.RoleDPO:
		return true
	case privacy.RoleService:
		return !action.IsYes() || s.config.MayGrant != nil && s.config.MayGrant(by.Recipient, purpose)
	}
	return false
}

// add validates first, so that a caller learns nothing about a person from an error
// about their own input.
func (s *Service) add(ctx context.Context, by privacy.Principal, action Action, change Change) (Receipt, error) {
	if by.Role != privacy.RoleService && by.Role != privacy.RoleDPO {
		return Receipt{}, fmt.Errorf("recording consent: %w", privacy.ErrForbidden)
	}
	record, err := change.Record(action, s.catalogue, s.config.Now())
	if err != nil {
		return Receipt{}, err
	}
	if !s.MayRecord(by, action, record.Purpose) {
		return Receipt{}, fmt.Errorf("recording a grant for a purpose that is not the recipient's: %w", privacy.ErrForbidden)
	}
	if err := s.checkShown(ctx, &record); err != nil {
		return Receipt{}, err
	}
	if record.ID == ([16]byte{}) {
		if _, err := io.ReadFull(s.config.Random, record.ID[:]); err != nil {
			return Receipt{}, fmt.Errorf("drawing consent id: %w", err)
		}
	}
	subject, err := s.subjects.Subject(ctx, change.DataSubject)
	if err != nil {
		return Receipt{}, fmt.Errorf("finding the person of a consent: %w", err)
	}
	added, err := s.store.Add(ctx, record, audit.Event{
		Kind: action.Kind(), Principal: by, Outcome: audit.Done, Subject: subject,
		Purpose: record.Purpose, Channel: record.Channel,
	})
	if errors.Is(err, privacy.ErrConflict) && change.ID != [16]byte{} {
		return Receipt{}, &privacy.FieldError{Pointer: "/id", Reason: "was used for another change"}
	}
	if err != nil {
		return Receipt{}, fmt.Errorf("recording consent: %w", err)
	}
	return Receipt{Added: added, Token: NewToken(added.Receipt)}, nil
}
