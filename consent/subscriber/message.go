package subscriber

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// TypeChanged is the type of every message.
const TypeChanged = "consent.changed"

// StateErased stands for the state of a person who is not held any more. Nothing comes after
// it: its sequence is [LastSequence].
const StateErased consent.State = "erased"

// LastSequence is greater than any other, and a number that every reader of JSON can hold.
const LastSequence = 1<<53 - 1

// Message is what a subscriber is told: how the choices of one person for one purpose stand.
type Message struct {
	// ID is that of the delivery, the same in every attempt.
	ID outbox.ID
	// Pseudonym is the recipient's name for the person.
	Pseudonym pseudonym.Pseudonym
	Purpose   privacy.Purpose
	// Channel is the one of the change; [privacy.AnyChannel] means all. State and
	// EffectiveAt are how it stands.
	Channel     privacy.Channel
	State       consent.State
	EffectiveAt time.Time
	// Sequence grows with each record about the person. AsOf is the moment for which the
	// message speaks. Of two messages about a person and a purpose the one with the higher
	// sequence holds, and of two with the same the later AsOf: a grant may have ended.
	Sequence int64
	AsOf     time.Time
	// ConsentToken binds a query that carries it to a state that includes the change.
	ConsentToken string
	// Standings are all channels that the ledger names for the purpose. That of
	// [privacy.AnyChannel] is what holds for every channel that is not named.
	Standings []Standing
}

// Standing is how one channel stands.
type Standing struct {
	Channel     privacy.Channel
	State       consent.State
	EffectiveAt time.Time
}

type standingJSON struct {
	Channel     privacy.Channel `json:"channel"`
	State       consent.State   `json:"state"`
	EffectiveAt *time.Time      `json:"effective_at,omitempty"`
}

type dataJSON struct {
	Pseudonym    pseudonym.Pseudonym `json:"pseudonym"`
	Purpose      privacy.Purpose     `json:"purpose"`
	Channel      privacy.Channel     `json:"channel"`
	State        consent.State       `json:"state"`
	EffectiveAt  *time.Time          `json:"effective_at,omitempty"`
	Sequence     int64               `json:"sequence"`
	ConsentToken string              `json:"consent_token,omitempty"`
	Standings    []standingJSON      `json:"standings"`
}

type messageJSON struct {
	ID        string    `json:"id"`
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      dataJSON  `json:"data"`
}

func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}

func value(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}

// Encode returns the body of the call.
func (m *Message) Encode() ([]byte, error) {
	d := messageJSON{ID: m.ID.String(), Type: TypeChanged, Timestamp: m.AsOf.UTC(), Data: dataJSON{
		Pseudonym: m.Pseudonym, Purpose: m.Purpose, Channel: m.Channel, State: m.State, EffectiveAt: optional(m.EffectiveAt),
		Sequence: m.Sequence, ConsentToken: m.ConsentToken, Standings: []standingJSON{},
	}}
	for _, s := range m.Standings {
		d.Data.Standings = append(d.Data.Standings, standingJSON{s.Channel, s.State, optional(s.EffectiveAt)})
	}
	body, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("encoding message to a subscriber: %w", err)
	}
	return body, nil
}

// maxMessage bounds a message.
const maxMessage = 1 << 16

// Decode reads the body of a call that was verified. The error wraps [privacy.ErrDamaged].
// It accepts members that later versions add, and nothing less than this one has.
func Decode(body []byte) (Message, error) {
	damaged := func(what string) (Message, error) {
		return Message{}, fmt.Errorf("reading message to a subscriber: %s: %w", what, privacy.ErrDamaged)
	}
	if len(body) > maxMessage {
		return damaged("too large")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	var d messageJSON
	if err := decoder.Decode(&d); err != nil {
		return damaged("no message")
	}
	if _, err := decoder.Token(); err != io.EOF {
		return damaged("more behind it")
	}
	id, err := outbox.ParseID(d.ID)
	switch {
	case err != nil, d.Type != TypeChanged, d.Timestamp.IsZero():
		return damaged("id, type or timestamp")
	case d.Data.Pseudonym == "", d.Data.Purpose == "", d.Data.Channel == "", d.Data.State == "":
		return damaged("pseudonym, purpose, channel or state")
	case d.Data.Sequence < 1 || d.Data.Sequence > LastSequence:
		return damaged("sequence")
	case len(d.Data.Standings) == 0:
		return damaged("standings")
	}
	m := Message{
		ID: id, Pseudonym: d.Data.Pseudonym, Purpose: d.Data.Purpose, Channel: d.Data.Channel, State: d.Data.State,
		EffectiveAt: value(d.Data.EffectiveAt), Sequence: d.Data.Sequence, AsOf: d.Timestamp.UTC(), ConsentToken: d.Data.ConsentToken,
	}
	for _, s := range d.Data.Standings {
		named := slices.ContainsFunc(m.Standings, func(other Standing) bool { return other.Channel == s.Channel })
		if s.Channel == "" || s.State == "" || named {
			return damaged("standings")
		}
		m.Standings = append(m.Standings, Standing{s.Channel, s.State, value(s.EffectiveAt)})
	}
	return m, nil
}

// After reports whether m holds, rather than what was kept of an earlier message about the
// same person and purpose: the order of their arrival says nothing.
func (m *Message) After(kept *Message) bool {
	if m.Sequence != kept.Sequence {
		return m.Sequence > kept.Sequence
	}
	return m.AsOf.After(kept.AsOf)
}

// Allows reports whether the message says yes for a channel. Everything but a standing grant
// is a no.
func (m *Message) Allows(channel privacy.Channel) bool {
	state := consent.StateNeverAsked
	for _, s := range m.Standings {
		if s.Channel == channel {
			return s.State == consent.StateGranted
		}
		if s.Channel == privacy.AnyChannel {
			state = s.State
		}
	}
	return state == consent.StateGranted
}
