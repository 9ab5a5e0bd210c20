package fulfil

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Store keeps what is held about people. A change commits together with the step of the
// request and its event, or not at all. It MUST fail with [privacy.ErrConflict] if somebody
// else took a step of the request or changed the same record first, and with
// [privacy.ErrNotFound] if the person does not exist (any more).
type Store interface {
	// Held returns the wrapped key of a person and those of their records that are in the
	// slots, or [privacy.ErrNotFound].
	Held(ctx context.Context, person privacy.DataSubjectID, slots [][16]byte) (wrapped []byte, records map[[16]byte]SealedRecord, err error)
	// Replace writes records of the person, each with the version after the stored one.
	Replace(ctx context.Context, change dsar.Change, person privacy.DataSubjectID, records []RecordChange) (audit.Receipt, error)
	// Restrict sets whether processing of the person's data is restricted.
	Restrict(ctx context.Context, change dsar.Change, person privacy.DataSubjectID, restricted bool) (audit.Receipt, error)
	// FileObjection records a request with, if its person is still there, what it does at
	// once: rows of the consent ledger, dated by the store's clock, and a restriction. Each
	// has its entry in the log, and all of it is there or none. It returns the request as it
	// was recorded, and the receipts: of the request, of each row, of the restriction.
	FileObjection(ctx context.Context, opening dsar.Prepared, records []consent.Record, restrict bool) (dsar.Request, []audit.Receipt, error)
	// Object adds a record to the consent ledger, dated by the store's clock.
	Object(ctx context.Context, change dsar.Change, record consent.Record) (audit.Receipt, error)
}

// SealedRecord is a stored record.
type SealedRecord struct {
	Version int64
	Sealed  []byte
}

// RecordChange is a record that takes the place of the stored one; version 1 is new.
type RecordChange struct {
	Slot    [16]byte
	Version int64
	Sealed  []byte
}

// Requests is what this room needs of the requests; [dsar.Service] is one.
type Requests interface {
	PrepareOpening(ctx context.Context, by privacy.Principal, opening dsar.Opening) (dsar.Prepared, error)
	Find(ctx context.Context, id dsar.RequestID) (dsar.Request, error)
	Prepare(ctx context.Context, by privacy.Principal, id dsar.RequestID, move dsar.Move) (dsar.Change, error)
	Take(ctx context.Context, by privacy.Principal, id dsar.RequestID, move dsar.Move) (dsar.Request, audit.Receipt, error)
}

// Config holds what the room may be told otherwise.
type Config struct {
	// Now dates corrections; nil: time.Now.
	Now func() time.Time
	// Random draws ids of consent records; nil: crypto/rand.
	Random io.Reader
}

// Service carries out what was asked for. Only data protection officers may: the machine of
// requests sees to it.
type Service struct {
	store     Store
	requests  Requests
	vault     *vault.Vault
	log       audit.Appender
	catalogue func() *policies.Catalogue
	words     consent.Catalogue
	config    Config
}

// New returns a service; all but the config is required.
func New(store Store, requests Requests, v *vault.Vault, log audit.Appender, catalogue func() *policies.Catalogue, words consent.Catalogue, config Config) (*Service, error) {
	if store == nil || requests == nil || v == nil || log == nil || catalogue == nil || words == nil {
		return nil, fmt.Errorf("making fulfilment service: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Service{store, requests, v, log, catalogue, words, config}, nil
}

// Done is an act that is carried out.
type Done struct {
	Request dsar.Request
	// Evidence is what [dsar.Service.Fulfil] takes for it.
	Evidence audit.Digest
	Receipt  audit.Receipt
}

// The checks of this room, as they stand in the log.
const (
	// CheckKnown: there is somebody whose data can be changed.
	CheckKnown = "person.known"
	// CheckHeld: what is contested is held.
	CheckHeld = "attribute.held"
	// CheckInformed: whoever obtained a restriction was told before it is lifted.
	CheckInformed = "person.informed"
)

// attempts is how often an act is tried again when another one came first.
const attempts = 4

// retried does what do does, again if it was overtaken.
func retried(do func() (Done, error)) (Done, error) {
	for n := 1; ; n++ {
		done, err := do()
		_, refused := errors.AsType[*dsar.Refusal](err)
		if errors.Is(err, privacy.ErrConflict) && !refused && n < attempts {
			continue
		}
		if err == nil && done.Receipt.IsZero() {
			return Done{}, fmt.Errorf("carrying out a request without a log entry: %w", privacy.ErrUnavailable)
		}
		return done, err
	}
}

// known refuses, and logs so, to change something about somebody unknown.
func (s *Service) known(ctx context.Context, change *dsar.Change) error {
	if !change.After.DataSubject.IsZero() {
		return nil
	}
	return s.refuse(ctx, change, &dsar.Refusal{Check: CheckKnown, Article: "GDPR Article 11(2)", Reason: "nobody is known whose data could be changed"})
}

func (s *Service) refuse(ctx context.Context, change *dsar.Change, refusal *dsar.Refusal) error {
	event := change.Event
	event.Kind, event.Outcome, event.Checks = audit.RequestRefused, audit.Denied, []string{refusal.Check}
	event.Purpose, event.Channel = "", ""
	if _, err := s.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return refusal
}
