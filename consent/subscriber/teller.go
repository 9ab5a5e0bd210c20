package subscriber

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/vault"
)

// Ledger shows the choices of one person.
type Ledger interface {
	// Stand returns how the choices of the person stand now, with every record in it, and a
	// token of a state that includes them. Nobody is a statement without records. Its records
	// MUST grow with each that is added, in their order.
	Stand(ctx context.Context, id privacy.DataSubjectID) (consent.Statement, consent.Token, error)
}

// Pseudonyms gives each recipient's pseudonyms.
type Pseudonyms interface {
	Of(recipient privacy.RecipientID) (*pseudonym.Pseudonyms, error)
}

// Poster makes signed calls and returns nil after the receiver has taken one.
type Poster interface {
	Post(ctx context.Context, address, secret, id string, body []byte) error
}

// FailureRemoved is the word for a delivery whose subscriber is told nothing any more.
const FailureRemoved = "subscriber_removed"

// Teller sends deliveries to subscribers. What is told is read when it is sent, so a
// delivery that waited tells how things stand and not how they stood.
type Teller struct {
	registry   Registry
	ledger     Ledger
	pseudonyms Pseudonyms
	vault      *vault.Vault
	poster     Poster
}

var _ outbox.Sender = (*Teller)(nil)

// NewTeller returns a teller. All are required.
func NewTeller(registry Registry, ledger Ledger, pseudonyms Pseudonyms, v *vault.Vault, poster Poster) *Teller {
	return &Teller{registry, ledger, pseudonyms, v, poster}
}

// Send implements [outbox.Sender].
func (t *Teller) Send(ctx context.Context, d outbox.Delivery, text []byte) (outbox.Result, error) {
	p, person, err := decodePayload(text)
	if err != nil {
		return outbox.Result{}, err
	}
	s, err := t.registry.Find(ctx, d.Destination)
	if errors.Is(err, privacy.ErrNotFound) || err == nil && !s.Active() {
		return outbox.Result{}, &outbox.Failure{Word: FailureRemoved, Final: true}
	}
	if err != nil {
		return outbox.Result{}, fmt.Errorf("finding subscriber: %w", err)
	}
	secret, err := t.vault.OpenHouse(SecretLabel(s.ID), s.SealedSecret)
	if err != nil {
		return outbox.Result{}, fmt.Errorf("opening subscriber's secret: %w", err)
	}
	m, err := t.message(ctx, d.ID, s.Recipient, person, p)
	if err != nil {
		return outbox.Result{}, err
	}
	body, err := m.Encode()
	if err != nil {
		return outbox.Result{}, err
	}
	return outbox.Result{}, t.poster.Post(ctx, s.URL, string(secret), d.ID.String(), body)
}

// message says how the choices of the person stand.
func (t *Teller) message(ctx context.Context, id outbox.ID, recipient privacy.RecipientID, person privacy.DataSubjectID, p payload) (Message, error) {
	names, err := t.pseudonyms.Of(recipient)
	if err != nil {
		return Message{}, fmt.Errorf("finding subscriber's pseudonyms: %w", err)
	}
	m := Message{ID: id, Purpose: p.Purpose, Channel: p.Channel}
	if m.Pseudonym, err = names.Of(person); err != nil {
		return Message{}, err
	}
	statement, token, err := t.ledger.Stand(ctx, person)
	if err != nil {
		return Message{}, fmt.Errorf("reading how somebody's choices stand: %w", err)
	}
	m.AsOf, m.ConsentToken = statement.At, token.String()
	if len(statement.Records) == 0 {
		// There was a record, or there would be no delivery: the person was erased.
		m.State, m.Sequence, m.ConsentToken = StateErased, LastSequence, ""
		m.Standings = []Standing{{Channel: privacy.AnyChannel, State: StateErased}}
		return m, nil
	}
	m.Sequence = int64(len(statement.Records))
	m.Standings = standings(&statement, p.Purpose)
	for _, s := range m.Standings {
		if s.Channel == p.Channel {
			m.State, m.EffectiveAt = s.State, s.EffectiveAt
		}
	}
	if m.State == "" {
		m.State = consent.StateNeverAsked
	}
	return m, nil
}

// standings are the channels that the ledger names for one purpose, and what holds for the
// others.
func standings(statement *consent.Statement, purpose privacy.Purpose) []Standing {
	list := []Standing{{Channel: privacy.AnyChannel, State: consent.StateNeverAsked}}
	for _, line := range statement.Standings {
		switch {
		case line.Purpose != purpose:
		case line.Channel == privacy.AnyChannel:
			list[0] = Standing{line.Channel, line.Current.State, line.Current.Since}
		default:
			list = append(list, Standing{line.Channel, line.Current.State, line.Current.Since})
		}
	}
	return list
}
