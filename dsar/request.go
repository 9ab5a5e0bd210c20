package dsar

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/privacy"
)

// RequestID names a request. It is a random UUIDv4 and says nothing about anybody.
type RequestID [16]byte

// NewRequestID draws an id from random, which must be cryptographically strong outside
// tests.
func NewRequestID(random io.Reader) (RequestID, error) {
	id, err := privacy.NewDataSubjectID(random)
	if err != nil {
		return RequestID{}, fmt.Errorf("drawing request id: %w", err)
	}
	return RequestID(id), nil
}

// ParseRequestID reads the 36 characters that [RequestID.String] writes, in lower case.
// The error wraps [privacy.ErrInvalid].
func ParseRequestID(text string) (RequestID, error) {
	id, err := privacy.ParseDataSubjectID(text)
	if err != nil || RequestID(id).String() != text || RequestID(id) == (RequestID{}) {
		return RequestID{}, fmt.Errorf("parsing request id: %w", privacy.ErrInvalid)
	}
	return RequestID(id), nil
}

// String returns the UUID as text.
func (id RequestID) String() string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// Kind says which right a request exercises.
type Kind string

// The kinds of request, with their articles of the GDPR.
const (
	Access        Kind = "access"                    // Article 15
	Portability   Kind = "portability"               // Article 20
	Rectification Kind = "rectification"             // Article 16
	Erasure       Kind = "erasure"                   // Article 17
	Restriction   Kind = "restriction"               // Article 18
	Objection     Kind = "objection"                 // Article 21
	Review        Kind = "automated_decision_review" // Article 22(3)
	// Complaint is about how the controller treats somebody's data, to the controller
	// itself (UK Data Protection Act 2018 s. 164A).
	Complaint Kind = "complaint"
)

// Kinds lists them in the order of the articles.
func Kinds() []Kind {
	return []Kind{Access, Rectification, Erasure, Restriction, Portability, Objection, Review, Complaint}
}

// State is where a request stands.
type State string

// The states.
const (
	Received        State = "received"
	IdentityPending State = "identity_pending"
	InProgress      State = "in_progress"
	Extended        State = "extended"
	Fulfilled       State = "fulfilled"
	Denied          State = "denied"
	Withdrawn       State = "withdrawn"
)

// Closed reports whether a request in this state is over.
func (s State) Closed() bool { return s == Fulfilled || s == Denied || s == Withdrawn }
