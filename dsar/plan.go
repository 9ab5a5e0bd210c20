package dsar

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// PlanVersion is the version of the plan's document.
const PlanVersion = 1

// Plan says what an erasure would destroy and what it would leave. Equal holdings of one
// request have equal plans, and anything else has another: approvals are of a plan's hash,
// and what is done is compared with it. The document is in docs/spec/plan.md.
type Plan struct {
	Version int `json:"v"`
	// Request is the request in whose name it happens.
	Request RequestID `json:"request"`
	// Binding is a keyed tag of person and request: without the key directory nobody can
	// find out by trying whether a plan that they made up has the hash in the log.
	Binding string `json:"binding"`
	// Held is the digest of the versions of everything that is held, in hex.
	Held        string              `json:"held"`
	Categories  []PlannedCategory   `json:"categories"`
	Streams     []PlannedStream     `json:"streams"`
	Identifiers []PlannedIdentifier `json:"identifiers"`
	Consents    int64               `json:"consents"`
	Withheld    []Withheld          `json:"withheld"`
	// Processors are those who will be told.
	Processors []string `json:"processors"`
}

// PlannedCategory is a sealed record.
type PlannedCategory struct {
	// Category is empty for one that the catalogue does not have (any more).
	Category privacy.DataCategory `json:"category"`
	// Attributes is how many there are; -1 if the record does not open.
	Attributes int   `json:"attributes"`
	Version    int64 `json:"record_version"`
}

// PlannedStream is a stream of events.
type PlannedStream struct {
	Category privacy.DataCategory `json:"category"`
	Events   int64                `json:"events"`
	Chunks   int64                `json:"chunks"`
	// Versions is the sum of the versions of the chunks.
	Versions int64 `json:"record_versions"`
}

// PlannedIdentifier is how many identifiers of a kind there are.
type PlannedIdentifier struct {
	Kind  privacy.IdentifierKind `json:"kind"`
	Count int64                  `json:"count"`
}

// MarshalText writes the UUID.
func (id RequestID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what [RequestID.MarshalText] wrote.
func (id *RequestID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseRequestID(string(text))
	return err
}

// Canonical returns the document in its one form: compact JSON with the fields in the order
// of the type, every list there, and no character escaped that need not be.
func (p *Plan) Canonical() ([]byte, error) {
	document := *p
	document.Categories = notNil(document.Categories)
	document.Streams = notNil(document.Streams)
	document.Identifiers = notNil(document.Identifiers)
	document.Withheld = notNil(document.Withheld)
	document.Processors = notNil(document.Processors)
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return nil, fmt.Errorf("encoding plan of erasure: %w", err)
	}
	return []byte(strings.TrimSuffix(text.String(), "\n")), nil
}

// Hash is SHA-256 of the canonical document.
func (p *Plan) Hash() (audit.Digest, error) {
	document, err := p.Canonical()
	if err != nil {
		return audit.Digest{}, err
	}
	return sha256.Sum256(document), nil
}

// ParsePlan reads a canonical document and refuses every other, with an error that wraps
// [privacy.ErrInvalid].
func ParsePlan(document []byte) (*Plan, error) {
	var p Plan
	decoder := json.NewDecoder(strings.NewReader(string(document)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&p); err != nil {
		return nil, fmt.Errorf("reading plan of erasure: %w", privacy.ErrInvalid)
	}
	again, err := p.Canonical()
	if err != nil || string(again) != string(document) || p.Version != PlanVersion {
		return nil, fmt.Errorf("reading plan of erasure that is not in its one form: %w", privacy.ErrInvalid)
	}
	return &p, nil
}

func notNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
