package dsar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// Opening is a request as it comes in.
type Opening struct {
	Kind Kind
	// Category is what a complaint is about; only a complaint has one.
	Category Category
	// Jurisdiction is where the person is, as they or the service say. It is never looked
	// up: an answer that depended on what is held would tell that something is held.
	Jurisdiction privacy.Jurisdiction
	// Language is that of the letters.
	Language string
	// DataSubject is whom it is about, if the caller knows them by more than their word: by
	// a pseudonym. Then there are no identifiers.
	DataSubject privacy.DataSubjectID
	// Identifiers are how the person names themselves, at least one; only what comes by
	// OpenDSR may have none that this house knows.
	Identifiers []privacy.Identifier
	// Contact is where to answer; empty: to an identifier that is known.
	Contact privacy.Plain
	// Text is what they wrote.
	Text privacy.Plain
	// Note is kept sealed with the first step: what the house makes of the request at once.
	Note privacy.Plain
	Via  Via
	// ReceivedAt is when the request reached the controller, which for a letter is earlier
	// than when it is recorded. Zero: now. Only a data protection officer may say another
	// time.
	ReceivedAt time.Time
}

// The bounds of what is recorded.
const (
	maxIdentifiers = 8
	maxContact     = 320
	maxText        = 8000
)

func (o *Opening) check(by privacy.Principal, now time.Time) error {
	field := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	switch {
	case !slices.Contains(Kinds(), o.Kind):
		return field("/kind", "must be access, portability, rectification, erasure, restriction, objection, automated_decision_review or complaint")
	case (o.Kind == Complaint) != o.Category.IsKnown() || o.Kind != Complaint && o.Category != "":
		return field("/category", "a complaint has one of the list, and nothing else has one")
	case !slices.Contains(Languages(), o.Language):
		return field("/language", "must be en, tr or cs")
	case !slices.Contains([]Via{ViaCLI, ViaAPI, ViaOpenDSR}, o.Via):
		return field("/received_via", "must be cli, api or opendsr")
	case !o.DataSubject.IsZero() && len(o.Identifiers) > 0:
		return field("/identifiers", "are for people who are not named otherwise")
	case len(o.Identifiers) == 0 && o.Via != ViaOpenDSR && o.DataSubject.IsZero(), len(o.Identifiers) > maxIdentifiers:
		return field("/identifiers", "must name the person by one to "+strconv.Itoa(maxIdentifiers)+" identifiers")
	case !fits(o.Contact, maxContact):
		return field("/contact", "must be at most "+strconv.Itoa(maxContact)+" bytes of text")
	case !fits(o.Text, maxText):
		return field("/text", "must be at most "+strconv.Itoa(maxText)+" bytes of text")
	case !o.ReceivedAt.IsZero() && by.Role != privacy.RoleDPO:
		return field("/received_at", "is for data protection officers")
	case o.ReceivedAt.After(now):
		return field("/received_at", "must not be in the future")
	}
	return nil
}

func fits(value privacy.Plain, limit int) bool {
	text := value.RevealPersonalData()
	return len(text) <= limit && utf8.ValidString(text)
}

// Opened is a request as it was recorded, with the evidence.
type Opened struct {
	Request
	Receipt audit.Receipt
}

// Prepared is a request that may be opened, ready to be committed with its event.
type Prepared struct {
	Request Request
	Step    Step
	// Wrapped is the key of the request.
	Wrapped []byte
	Event   audit.Event
}

// Open records a request. Whether the person exists changes nothing in what a service is
// told, nor in how often the database is asked. Errors: [privacy.ErrForbidden],
// [privacy.FieldError], [*Refusal] of the clock, [privacy.ErrUnavailable].
func (s *Service) Open(ctx context.Context, by privacy.Principal, o Opening) (Opened, error) {
	p, err := s.PrepareOpening(ctx, by, o)
	if err != nil {
		return Opened{}, err
	}
	r, receipt, err := s.store.Open(ctx, p.Request, p.Step, p.Wrapped, p.Event)
	if err != nil {
		return Opened{}, fmt.Errorf("opening a request: %w", err)
	}
	if receipt.IsZero() {
		return Opened{}, fmt.Errorf("opening a request without a log entry: %w", privacy.ErrUnavailable)
	}
	return Opened{r, receipt}, nil
}

// PrepareOpening asks whether a request may be opened and makes it, for a store that commits
// more than the request alone. Nothing is changed; the errors are those of [Service.Open].
func (s *Service) PrepareOpening(ctx context.Context, by privacy.Principal, o Opening) (Prepared, error) {
	if err := s.mayOpen(by, o.Via); err != nil {
		return Prepared{}, err
	}
	now := s.now()
	if err := o.check(by, now); err != nil {
		return Prepared{}, err
	}
	regime, err := clock.RegimeOf(o.Jurisdiction)
	if err != nil {
		return Prepared{}, &privacy.FieldError{Pointer: "/jurisdiction", Reason: "is not one whose law is known; see mahrem dsar deadline --help"}
	}
	tags, err := s.tags(o.Identifiers)
	if err != nil {
		return Prepared{}, err
	}
	person := o.DataSubject
	if person.IsZero() {
		if person, err = s.whoIs(ctx, by, o.Identifiers); err != nil {
			return Prepared{}, err
		}
	}
	subject, err := s.subject(ctx, person)
	if err != nil {
		return Prepared{}, err
	}
	r := Request{
		Kind: o.Kind, State: Received, Regime: string(regime), Jurisdiction: o.Jurisdiction, Language: o.Language, Category: o.Category,
		DataSubject: person, Tags: tags, Via: o.Via, ReceivedAt: o.ReceivedAt.UTC().Truncate(time.Microsecond),
		OpenedBy: s.vault.ActorTag(by), Version: 1,
	}
	if o.ReceivedAt.IsZero() {
		r.ReceivedAt = now
	}
	if _, err := r.compute(s.config.Compute, nil); err != nil {
		return Prepared{}, err
	}
	return s.seal(by, subject, r, Contents{Contact: o.Contact, Text: o.Text, Identifiers: o.Identifiers}, o.Note, now)
}

// seal gives a request its id and its key, and seals under it what the requester wrote.
func (s *Service) seal(by privacy.Principal, subject audit.Subject, r Request, contents Contents, note privacy.Plain, at time.Time) (Prepared, error) {
	var err error
	if r.ID, err = NewRequestID(s.config.Random); err != nil {
		return Prepared{}, err
	}
	key, wrapped, err := NewRequestKey(s.vault, r.ID)
	if err != nil {
		return Prepared{}, fmt.Errorf("making key of a request: %w", err)
	}
	if r.Sealed, err = SealContents(key, contents); err != nil {
		return Prepared{}, err
	}
	step := Step{Request: r.ID, Number: 1, Action: ActionOpen, To: Received, At: at, By: r.OpenedBy}
	if step.Sealed, err = sealDetail(key, step.Number, Detail{Note: note}); err != nil {
		return Prepared{}, err
	}
	return Prepared{
		r,
		step,
		wrapped,
		audit.Event{
			Kind: audit.RequestOpened, Outcome: audit.Done, Principal: by, Subject: subject,
			List: StepDigest(r.ID, 1, ActionOpen, audit.Digest{}),
		},
	}, nil
}

// mayOpen: officers, and the company's own services on behalf of people. What comes by
// OpenDSR was authenticated by its certificate.
func (s *Service) mayOpen(by privacy.Principal, via Via) error {
	switch {
	case by.ID == "":
	case by.Role == privacy.RoleDPO:
		return nil
	case by.Role == privacy.RoleService && via == ViaOpenDSR:
		return nil
	case by.Role == privacy.RoleService && s.config.MayOpen != nil && s.config.MayOpen(by.Recipient):
		return nil
	}
	return fmt.Errorf("opening a request: %w", privacy.ErrForbidden)
}

// tags are how a second request of the same identifiers is recognised, sorted.
func (s *Service) tags(identifiers []privacy.Identifier) ([][16]byte, error) {
	tags := make([][16]byte, 0, len(identifiers))
	for i, identifier := range identifiers {
		normal, err := s.vault.Normalize(identifier)
		if err != nil {
			return nil, &privacy.FieldError{Pointer: "/identifiers/" + strconv.Itoa(i), Reason: "is not an identifier of its kind"}
		}
		tags = append(tags, s.vault.WordTag("request", string(identifier.Kind), normal.RevealPersonalData()))
	}
	slices.SortFunc(tags, func(a, b [16]byte) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(tags), nil
}

// whoIs finds the one person whom the identifiers name; zero if nobody or more than one.
// An officer is told of the latter, for whom it is a mistake that can be put right.
func (s *Service) whoIs(ctx context.Context, by privacy.Principal, identifiers []privacy.Identifier) (privacy.DataSubjectID, error) {
	var person privacy.DataSubjectID
	several := false
	for i, identifier := range identifiers {
		found, err := s.people.ResolveIdentifier(ctx, identifier)
		switch {
		case errors.Is(err, privacy.ErrNotFound):
			continue
		case errors.Is(err, privacy.ErrConflict):
			several = true
			continue
		case errors.Is(err, privacy.ErrInvalid):
			return privacy.DataSubjectID{}, &privacy.FieldError{Pointer: "/identifiers/" + strconv.Itoa(i), Reason: "is not an identifier of its kind"}
		case err != nil:
			return privacy.DataSubjectID{}, fmt.Errorf("finding the person of a request: %w", err)
		}
		several = several || !person.IsZero() && person != found
		person = found
	}
	if !several {
		return person, nil
	}
	if by.Role == privacy.RoleDPO {
		return privacy.DataSubjectID{}, &privacy.FieldError{Pointer: "/identifiers", Reason: "belong to more than one person; open a request for each"}
	}
	return privacy.DataSubjectID{}, nil
}
