package opendsr

import (
	"crypto/rand"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// The topics of deliveries.
const (
	TopicRequest  = "request"
	TopicCallback = "callback"
)

// Pseudonyms gives each recipient's pseudonyms.
type Pseudonyms interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// TellerConfig holds what a teller may be told otherwise.
type TellerConfig struct {
	// CallbackURL is the one address at which processors call back; empty: they are asked.
	CallbackURL string
	// Random draws ids; nil means crypto/rand.
	Random io.Reader
}

// Teller writes what processors are told. A processor knows a person by the pseudonym of
// its recipient, so that is what it gets; an address only if it cannot do without.
type Teller struct {
	vault      *vault.Vault
	pseudonyms Pseudonyms
	config     TellerConfig
}

// NewTeller returns a teller.
func NewTeller(v *vault.Vault, pseudonyms Pseudonyms, config TellerConfig) (*Teller, error) {
	if v == nil || pseudonyms == nil {
		return nil, fmt.Errorf("making OpenDSR teller: %w", privacy.ErrInvalid)
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	return &Teller{vault: v, pseudonyms: pseudonyms, config: config}, nil
}

// Notice is a request at one processor, with the message that tells it. Both are recorded
// in the transaction of what they follow from.
type Notice struct {
	Task     Task
	Delivery outbox.Delivery
}

// Notices writes the messages about a request to processors. emails are those addresses
// that are known to be of the person: nobody is to be erased elsewhere because somebody
// else named them.
func (t *Teller) Notices(processors []Processor, r *dsar.Request, person privacy.DataSubjectID, emails []privacy.Plain) ([]Notice, error) {
	if !slices.Contains(kinds, r.Kind) {
		return nil, fmt.Errorf("telling processors of a request whose kind OpenDSR does not have: %w", privacy.ErrInvalid)
	}
	var notices []Notice
	for i := range processors {
		notice, err := t.notice(&processors[i], r, person, emails)
		if err != nil {
			return nil, err
		}
		notices = append(notices, notice)
	}
	return notices, nil
}

func (t *Teller) notice(p *Processor, r *dsar.Request, person privacy.DataSubjectID, emails []privacy.Plain) (Notice, error) {
	names, err := t.pseudonyms.Of(p.Recipient)
	if err != nil {
		return Notice{}, fmt.Errorf("naming a person to a processor: %w", err)
	}
	name, err := names.Of(person)
	if err != nil {
		return Notice{}, fmt.Errorf("naming a person to a processor: %w", err)
	}
	id, err := dsar.NewRequestID(t.config.Random)
	if err != nil {
		return Notice{}, err
	}
	request := Request{
		Version: p.Version, Regulation: regulationOf(r.Regime), ID: SubjectRequestID(id), Kind: r.Kind, SubmittedAt: r.ReceivedAt,
		Identities: []Identity{{Type: ControllerCustomerID, Format: Raw, Value: privacy.NewPlain(string(name))}},
	}
	if t.config.CallbackURL != "" {
		request.Callbacks = []string{t.config.CallbackURL}
	}
	for _, email := range emails {
		identity := Identity{Type: EmailIdentity, Format: Raw, Value: email}
		switch {
		case p.EmailFormat == "" || p.Version == V3 && len(request.Identities) > 1:
			continue // 3.0 has one identity of a type
		case p.EmailFormat == SHA256:
			identity = identity.Hashed()
		}
		request.Identities = append(request.Identities, identity)
	}
	d, err := outbox.New(t.vault, t.config.Random, outbox.Message{
		Kind: outbox.OpenDSR, Destination: p.ID, Topic: TopicRequest, Request: r.ID, Payload: request.Encode(),
	})
	if err != nil {
		return Notice{}, err
	}
	return Notice{Task: Task{Request: r.ID, Processor: p.ID, ID: request.ID, Kind: r.Kind, State: TaskQueued, Version: 1}, Delivery: d}, nil
}

// regulationOf is the word of the protocol for a body of law. It has two, and processors
// refuse others: whatever is not the law of California is told as the one that asks for
// the same or more.
func regulationOf(regime string) string {
	if strings.HasPrefix(regime, "ccpa") {
		return "ccpa"
	}
	return "gdpr"
}
