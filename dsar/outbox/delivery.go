package outbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ID names a delivery. It is a random UUIDv4, and the idempotency key that every attempt
// carries.
type ID [16]byte

// NewID draws an id from random, which must be cryptographically strong outside tests.
func NewID(random io.Reader) (ID, error) {
	id, err := privacy.NewDataSubjectID(random)
	if err != nil {
		return ID{}, fmt.Errorf("drawing delivery id: %w", err)
	}
	return ID(id), nil
}

// ParseID reads the 36 characters that [ID.String] writes. The error wraps
// [privacy.ErrInvalid].
func ParseID(text string) (ID, error) {
	id, err := privacy.ParseDataSubjectID(text)
	if err != nil || ID(id) == (ID{}) || ID(id).String() != text {
		return ID{}, fmt.Errorf("parsing delivery id: %w", privacy.ErrInvalid)
	}
	return ID(id), nil
}

// String returns the UUID as text, in lower case.
func (id ID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Kind is the way a delivery takes.
type Kind string

// The kinds.
const (
	Webhook Kind = "webhook"
	SMTP    Kind = "smtp"
	OpenDSR Kind = "opendsr"
	// Consent deliveries tell a recipient how somebody's choices stand.
	Consent Kind = "consent"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Webhook, SMTP, OpenDSR, Consent} }

// State is where a delivery stands.
type State string

// The states.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	// Dead deliveries were given up: their time is over, or the receiver will never take
	// them. Somebody must look.
	Dead State = "dead"
	// Void deliveries are never sent. A request of somebody unknown makes one, so that it
	// takes the same steps as any other.
	Void State = "void"
)

// States lists them.
func States() []State { return []State{Pending, Delivered, Dead, Void} }

// TopicCode is the topic of a code that proves identity. The log does not say what became
// of one: only somebody who is known gets a code, and whoever asked for it sees by the
// numbers of later entries whether one more was written.
const TopicCode = "code"

// DefaultPatience is how long a delivery is tried unless its message says otherwise.
const DefaultPatience = 7 * 24 * time.Hour

// Message is what is to be delivered.
type Message struct {
	// ID may be given, so that making the same message again is a conflict and not a
	// second delivery; zero draws one.
	ID   ID
	Kind Kind
	// Destination is the word by which the settings or the registry of processors know
	// where it goes to: never an address.
	Destination string
	// Topic is a word for what it says, such as "code".
	Topic string
	// Request is the request that it belongs to; zero is none.
	Request [16]byte
	// Payload is for the sender of the kind; at most [MaxPayload] bytes. It is sealed.
	Payload []byte
	// Delay is how long the first attempt waits.
	Delay time.Duration
	// Patience is how long attempts are made; zero means [DefaultPatience].
	Patience time.Duration
	// Void makes a delivery that is never sent.
	Void bool
}

// MaxPayload bounds a payload.
const MaxPayload = 1 << 19

// Delivery is a message that is ready to be stored: its payload is sealed.
type Delivery struct {
	ID          ID
	Kind        Kind
	Destination string
	Topic       string
	Request     [16]byte
	State       State
	// Wrapped is the delivery's own key, and Sealed what is under it.
	Wrapped, Sealed []byte
	Delay, Patience time.Duration
	// What follows is the store's.
	Attempts      int
	Failure       string
	EnqueuedAt    time.Time
	NextAttemptAt time.Time
	GivesUpAt     time.Time
	SettledAt     time.Time
}

var (
	destinationPattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	topicPattern       = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	failurePattern     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// New seals a message under a key of its own. The error wraps [privacy.ErrInvalid] if the
// message is none that can be delivered.
func New(v *vault.Vault, random io.Reader, m Message) (Delivery, error) {
	if m.Patience == 0 {
		m.Patience = DefaultPatience
	}
	d := Delivery{
		ID: m.ID, Kind: m.Kind, Destination: m.Destination, Topic: m.Topic, Request: m.Request,
		State: Pending, Delay: m.Delay, Patience: m.Patience,
	}
	if m.Void {
		d.State = Void
	}
	if len(m.Payload) > MaxPayload {
		return Delivery{}, fmt.Errorf("making delivery of more than %d bytes: %w", MaxPayload, privacy.ErrInvalid)
	}
	if d.ID == (ID{}) {
		var err error
		if d.ID, err = NewID(random); err != nil {
			return Delivery{}, err
		}
	}
	key, wrapped, err := v.NewPersonKey(privacy.DataSubjectID(d.ID))
	if err != nil {
		return Delivery{}, fmt.Errorf("making delivery: %w", err)
	}
	d.Wrapped = wrapped
	if d.Sealed, err = key.SealBytes(d.label(), 0, m.Payload); err != nil {
		return Delivery{}, fmt.Errorf("making delivery: %w", err)
	}
	return d, d.Check()
}

// Check refuses, with an error that wraps [privacy.ErrInvalid], a delivery that no store
// may take.
func (d *Delivery) Check() error {
	switch {
	case d.ID == (ID{}):
		return fmt.Errorf("checking delivery without id: %w", privacy.ErrInvalid)
	case !slices.Contains(Kinds(), d.Kind):
		return fmt.Errorf("checking delivery of an unknown kind: %w", privacy.ErrInvalid)
	case !destinationPattern.MatchString(d.Destination) || !topicPattern.MatchString(d.Topic):
		return fmt.Errorf("checking delivery: destination and topic are words: %w", privacy.ErrInvalid)
	case d.State != Pending && d.State != Void:
		return fmt.Errorf("checking delivery that is settled already: %w", privacy.ErrInvalid)
	case d.Delay < 0 || d.Patience <= 0 || d.Patience < d.Delay:
		return fmt.Errorf("checking delivery: its time ends before it begins: %w", privacy.ErrInvalid)
	case len(d.Wrapped) == 0 || len(d.Sealed) == 0:
		return fmt.Errorf("checking delivery that is not sealed: %w", privacy.ErrInvalid)
	}
	return nil
}

// Payload opens the payload, or fails with an error that wraps [privacy.ErrDamaged]: also
// if the delivery was moved to another destination.
func (d *Delivery) Payload(v *vault.Vault) ([]byte, error) {
	key, err := v.OpenPersonKey(privacy.DataSubjectID(d.ID), d.Wrapped, vault.UseDelivery)
	if err != nil {
		return nil, fmt.Errorf("opening delivery: %w", err)
	}
	payload, err := key.OpenBytes(d.label(), 0, d.Sealed)
	if err != nil {
		return nil, fmt.Errorf("opening delivery: %w", err)
	}
	return payload, nil
}

func (d *Delivery) label() string {
	return "outbox/" + string(d.Kind) + "/" + d.Destination + "/" + d.Topic
}

// Digest stands in the log for the delivery and its request.
func (d *Delivery) Digest() audit.Digest {
	text := append([]byte("mahrem/outbox/v1\x00"), d.ID[:]...)
	return sha256.Sum256(append(text, d.Request[:]...))
}
