package gate

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

// Limits of one query.
const (
	// MaxAttributes bounds the attributes that one query asks for.
	MaxAttributes = 64
	maxReference  = 512
)

// Query is a question about one person.
type Query struct {
	DataSubject Ref
	Purpose     privacy.Purpose
	Channel     privacy.Channel
	// Attributes are catalogue names, each at most once.
	Attributes []privacy.AttributeName
	// Trigger is what made the caller ask; nil when nothing in particular did.
	Trigger *Trigger
	// ConsentToken, if not empty, is the token of a consent change that the answer must
	// have seen.
	ConsentToken string
	// Signals, if not nil, are what the visitor's browser and page say: they may take away
	// what the ledger gives, and give nothing.
	Signals *signal.Reading
	// Case, if not empty, names the case that the caller is handling. Data that is for
	// this case only is opened while it is open, is about this person, and is the
	// caller's recipient's own.
	Case string
}

// Ref names a person from outside: by the pseudonym made for the caller's recipient or
// by an identifier, never by both.
type Ref struct {
	Pseudonym  string
	Identifier privacy.Identifier
}

// Trigger is an event to which the caller reacts, such as an abandoned cart.
type Trigger struct{ OccurredAt time.Time }

// request is a query that was found valid.
type request struct {
	Query
	attributes []*attribute
	token      consent.Token
	hasToken   bool
	caseID     casework.ID
	// rejected is whether the signals that were not understood are in the log.
	rejected bool
}

// validate checks the query against the catalogue. The error is a
// [privacy.FieldError].
func (q *Query) validate(s *sheet) (*request, error) {
	r := &request{Query: *q, attributes: make([]*attribute, len(q.Attributes))}
	byPseudonym, byIdentifier := q.DataSubject.Pseudonym != "", q.DataSubject.Identifier.Kind != ""
	switch {
	case byPseudonym == byIdentifier:
		return nil, refuse("/data_subject", "give either a pseudonym or an identifier")
	case len(q.DataSubject.Pseudonym) > maxReference:
		return nil, refuse("/data_subject/pseudonym", "is too long")
	case byIdentifier && q.DataSubject.Identifier.Value.IsEmpty():
		return nil, refuse("/data_subject/identifier/value", "is empty")
	}
	if byIdentifier {
		if _, err := privacy.ParseIdentifierKind(string(q.DataSubject.Identifier.Kind)); err != nil {
			return nil, refuse("/data_subject/identifier/kind", "is not an identifier kind")
		}
	}
	if !s.knowsPurpose(q.Purpose) {
		return nil, refuse("/purpose", "is not in the catalogue")
	}
	if !s.knowsChannel(q.Channel) {
		return nil, refuse("/channel", "is not in the catalogue")
	}
	if len(q.Attributes) == 0 || len(q.Attributes) > MaxAttributes {
		return nil, refuse("/attributes", fmt.Sprintf("must name 1 to %d attributes", MaxAttributes))
	}
	var streams []privacy.DataCategory
	for i, name := range q.Attributes {
		a := s.attributes[name]
		if a == nil {
			return nil, refuse("/attributes/"+strconv.Itoa(i), "is not in the catalogue")
		}
		for _, earlier := range r.attributes[:i] {
			if earlier == a {
				return nil, refuse("/attributes/"+strconv.Itoa(i), "is named twice")
			}
		}
		r.attributes[i] = a
		if a.derive != nil && !slices.Contains(streams, a.Category) {
			if streams = append(streams, a.Category); len(streams) > MaxStreams {
				return nil, refuse("/attributes/"+strconv.Itoa(i), fmt.Sprintf("draws on more than %d kinds of events", MaxStreams))
			}
		}
	}
	if q.Trigger != nil && q.Trigger.OccurredAt.IsZero() {
		return nil, refuse("/trigger/occurred_at", "is missing")
	}
	if q.ConsentToken != "" {
		token, err := consent.ParseToken(q.ConsentToken)
		if err != nil {
			return nil, refuse("/consent_token", "is not a consent token")
		}
		r.token, r.hasToken = token, true
	}
	if q.Case != "" {
		id, err := casework.ParseID(q.Case)
		if err != nil {
			return nil, refuse("/case", "is not a case")
		}
		r.caseID = id
	}
	return r, nil
}

func refuse(pointer, reason string) error {
	return &privacy.FieldError{Pointer: pointer, Reason: reason}
}
