package identity

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Store keeps codes. Each change of it commits together with the step of the request and
// its event, or not at all, and MUST fail with [privacy.ErrConflict] if somebody else took
// a step of the request first.
type Store interface {
	// Codes returns all codes of a request, the newest last, and the store's time.
	Codes(ctx context.Context, request dsar.RequestID) (Codes, error)
	// AddCode records a code that ends after life, and the delivery that brings it. It MUST
	// fail with [ErrTooMany] beyond [MaxHourly], also when several are added at once.
	AddCode(ctx context.Context, change dsar.Change, code Code, life time.Duration, delivery outbox.Delivery) (Code, audit.Receipt, error)
	// CountAttempt counts one attempt at the code, and marks it as used if it was right. It
	// MUST fail with [privacy.ErrConflict] if the code is not at the given number of
	// attempts any more.
	CountAttempt(ctx context.Context, change dsar.Change, code Code, right bool) (audit.Receipt, error)
}

// Requests is what this room needs of the requests; [dsar.Service] is one.
type Requests interface {
	Find(ctx context.Context, id dsar.RequestID) (dsar.Request, error)
	Contents(ctx context.Context, r *dsar.Request) (dsar.Contents, error)
	Prepare(ctx context.Context, by privacy.Principal, id dsar.RequestID, move dsar.Move) (dsar.Change, error)
	Take(ctx context.Context, by privacy.Principal, id dsar.RequestID, move dsar.Move) (dsar.Request, audit.Receipt, error)
}

// Addresses finds where a person is known to be reached. It MUST take as long for nobody as
// for somebody, and return only addresses that resolve to the person.
type Addresses interface {
	Known(ctx context.Context, person privacy.DataSubjectID, named []privacy.Identifier) ([]privacy.Identifier, error)
}

// Config holds what the room may be told otherwise.
type Config struct {
	// Random draws codes and ids; nil: crypto/rand.
	Random io.Reader
	// Now is the clock against which statements of services are judged; nil: time.Now.
	Now func() time.Time
	// Ways are the kinds of delivery that are set up, the preferred one first. None: codes
	// cannot be sent.
	Ways []outbox.Kind
	// MayAttest says whether a recipient may state that a person is signed in. Nil: nobody.
	MayAttest func(privacy.RecipientID) bool
}

// Service verifies identities.
type Service struct {
	store     Store
	requests  Requests
	addresses Addresses
	vault     *vault.Vault
	log       audit.Appender
	config    Config
}

// New returns a service; all but the config is required.
func New(store Store, requests Requests, addresses Addresses, v *vault.Vault, log audit.Appender, config Config) (*Service, error) {
	if store == nil || requests == nil || addresses == nil || v == nil || log == nil {
		return nil, fmt.Errorf("making identity service: %w", privacy.ErrInvalid)
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Service{store, requests, addresses, v, log, config}, nil
}

// Sent is what whoever asked for a code is told. It is the same for a person who is
// unknown.
type Sent struct {
	ExpiresAt time.Time
	Receipt   audit.Receipt
	// Reached says whether there was an address that is known. It is for data protection
	// officers and must not be shown to anybody else.
	Reached bool
}

// Destination is where letters to people are delivered to, by the word that the settings
// give it.
const Destination = "person"

// attempts is how often a step is tried again when another one came first.
const attempts = 4

// SendCode sends a code to an address that is known to be the person's. Errors:
//
//   - [*dsar.Refusal]: too many codes, or the request is in no state to be verified;
//   - [privacy.ErrForbidden], [privacy.ErrNotFound]: as [dsar.Service.Prepare];
//   - [privacy.ErrUnavailable]: no way of delivery is set up, or the database is away.
func (s *Service) SendCode(ctx context.Context, by privacy.Principal, id dsar.RequestID) (Sent, error) {
	if len(s.config.Ways) == 0 {
		return Sent{}, fmt.Errorf("sending a code: neither delivery_webhook nor delivery_smtp is set: %w", privacy.ErrUnavailable)
	}
	for n := 1; ; n++ {
		sent, err := s.sendCode(ctx, by, id)
		if errors.Is(err, errOvertaken) && n < attempts {
			continue
		}
		return sent, err
	}
}

// errOvertaken marks a step that another one overtook.
var errOvertaken = errors.New("overtaken")

func overtaken(err error) error {
	_, refused := errors.AsType[*dsar.Refusal](err)
	if errors.Is(err, privacy.ErrConflict) && !refused {
		return fmt.Errorf("%w: %w", errOvertaken, err)
	}
	return err
}

func (s *Service) sendCode(ctx context.Context, by privacy.Principal, id dsar.RequestID) (Sent, error) {
	change, err := s.requests.Prepare(ctx, by, id, dsar.Move{Action: dsar.ActionAskIdentity})
	if err != nil {
		return Sent{}, fmt.Errorf("sending a code: %w", err)
	}
	codes, err := s.store.Codes(ctx, id)
	if err != nil {
		return Sent{}, fmt.Errorf("sending a code: %w", err)
	}
	if refusal := codes.maySend(article); refusal != nil {
		return Sent{}, s.refuse(ctx, &change, refusal)
	}
	text, err := newCode(s.config.Random)
	if err != nil {
		return Sent{}, err
	}
	secret := privacy.NewPlain(text)
	delivery, reached, err := s.delivery(ctx, &change.After, secret)
	if err != nil {
		return Sent{}, fmt.Errorf("sending a code: %w", err)
	}
	code := Code{Request: id, Number: len(codes.List) + 1}
	code.Tag = tagOf(s.vault, id, code.Number, secret)
	code, receipt, err := s.store.AddCode(ctx, change, code, Life, delivery)
	if errors.Is(err, ErrTooMany) {
		return Sent{}, s.refuse(ctx, &change, &dsar.Refusal{
			Check: CheckRate, Article: article, Reason: "no more codes are sent for these identifiers within this hour",
		})
	}
	if err != nil {
		return Sent{}, fmt.Errorf("sending a code: %w", overtaken(err))
	}
	if receipt.IsZero() {
		return Sent{}, fmt.Errorf("sending a code without a log entry: %w", privacy.ErrUnavailable)
	}
	return Sent{ExpiresAt: code.ExpiresAt, Receipt: receipt, Reached: reached}, nil
}

// delivery makes the delivery of a code. For somebody who is unknown, or has no address
// that is known, it is one that is never sent: the same work, and nothing leaves.
func (s *Service) delivery(ctx context.Context, r *dsar.Request, code privacy.Plain) (outbox.Delivery, bool, error) {
	contents, err := s.requests.Contents(ctx, r)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return outbox.Delivery{}, false, err
	}
	known, err := s.addresses.Known(ctx, r.DataSubject, contents.Identifiers)
	if err != nil {
		return outbox.Delivery{}, false, err
	}
	way, to, reached := s.way(known)
	if !reached {
		way, to = s.config.Ways[0], privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("nobody@invalid")}
	}
	payload, err := letterOf(r.Language, r.ID, to, code).Encode()
	if err != nil {
		return outbox.Delivery{}, false, err
	}
	defer clear(payload)
	d, err := outbox.New(s.vault, s.config.Random, outbox.Message{
		Kind: way, Destination: Destination, Topic: outbox.TopicCode, Request: r.ID, Payload: payload, Patience: Life, Void: !reached,
	})
	return d, reached, err
}

// way picks the first way by which one of the addresses is reached; an e-mail address
// before a telephone number.
func (s *Service) way(known []privacy.Identifier) (outbox.Kind, privacy.Identifier, bool) {
	for _, way := range s.config.Ways {
		for _, kind := range []privacy.IdentifierKind{privacy.Email, privacy.Phone} {
			if kind == privacy.Phone && way != outbox.Webhook {
				continue
			}
			for _, identifier := range known {
				if identifier.Kind == kind {
					return way, identifier, true
				}
			}
		}
	}
	return "", privacy.Identifier{}, false
}

// refuse logs a refusal of this room and returns it.
func (s *Service) refuse(ctx context.Context, change *dsar.Change, refusal *dsar.Refusal) error {
	event := change.Event
	event.Kind, event.Outcome, event.Checks = audit.RequestRefused, audit.Denied, []string{refusal.Check}
	if _, err := s.log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return refusal
}
