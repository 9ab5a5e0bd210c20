package dsar

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// ErasureID names an erasure. It is a random UUIDv4 and says nothing about anybody.
type ErasureID [16]byte

// NewErasureID draws an id from random, which must be cryptographically strong outside
// tests.
func NewErasureID(random io.Reader) (ErasureID, error) {
	id, err := privacy.NewDataSubjectID(random)
	if err != nil {
		return ErasureID{}, fmt.Errorf("drawing erasure id: %w", err)
	}
	return ErasureID(id), nil
}

// ParseErasureID reads the 36 characters that [ErasureID.String] writes. The error wraps
// [privacy.ErrInvalid].
func ParseErasureID(text string) (ErasureID, error) {
	id, err := ParseRequestID(text)
	if err != nil {
		return ErasureID{}, fmt.Errorf("parsing erasure id: %w", privacy.ErrInvalid)
	}
	return ErasureID(id), nil
}

// String returns the UUID as text.
func (id ErasureID) String() string { return RequestID(id).String() }

// MarshalText writes the UUID.
func (id ErasureID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what [ErasureID.MarshalText] wrote.
func (id *ErasureID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseErasureID(string(text))
	return err
}

// Withheld is a part of what was held that an erasure leaves, because a law or a legal
// hold forbids to destroy it. It names nobody.
type Withheld struct {
	Category privacy.DataCategory `json:"category"`
	// Attribute is empty when all of the category is kept.
	Attribute privacy.AttributeName `json:"attribute,omitempty"`
	// Ground is a key, such as tax_records or legal_hold.
	Ground  string `json:"ground"`
	Article string `json:"article"`
	// Until is when the ground ends; zero: when a hold is released.
	Until time.Time `json:"until,omitzero"`
	// Items is how many values or events are kept.
	Items int64 `json:"items"`
}

// HoldOn is a legal hold in force on a person.
type HoldOn struct {
	Hold [16]byte
	// Scope is the keyed tag of what it covers ([vault.Vault.WordTag] of "hold", category
	// and perhaps attribute); zero: everything.
	Scope [16]byte
}

// WithholdInput is what a [Withholder] decides on: everything that is held about one
// person, opened.
type WithholdInput struct {
	Jurisdiction privacy.Jurisdiction
	// At is now.
	At time.Time
	// Holds are the partial ones; a hold on everything defers the erasure instead.
	Holds   []HoldOn
	Records map[privacy.DataCategory]vault.Record
	// Streams are the categories of which there are events.
	Streams []privacy.DataCategory
	// Events hands each chunk of a stream to yield, newest first and in each oldest first,
	// and stops with its error.
	Events func(ctx context.Context, stream privacy.DataCategory, yield func([]vault.Event) error) error
}

// Kept is one thing to keep, with what it is.
type Kept struct {
	Withheld
	// Hold is the one that keeps it; zero if none does.
	Hold [16]byte
	// Record holds what is kept of the category's attributes, Events of its stream.
	Record vault.Record
	Events []vault.Event
}

// Withholder says what must not be destroyed. It MUST answer the same to the same input:
// the plan of an erasure is compared with what is done.
type Withholder interface {
	Withhold(ctx context.Context, input WithholdInput) ([]Kept, error)
}

// ErasureRecord is the evidence of an erasure: what a certificate says. It names nobody.
type ErasureRecord struct {
	ID      ErasureID
	Request RequestID // zero when it was done again after a restore that knows no request
	Plan    audit.Digest
	// KeyDigests are the SHA-256 of each wrapped key that was destroyed.
	KeyDigests []audit.Digest
	Counts     Counts
	Withheld   []Withheld
	// Suppressed is how many identifiers are refused from now on.
	Suppressed     int64
	LedgerSequence uint64
	LogIndex       uint64
	LeafHash       [32]byte
	ErasedAt       time.Time
	// SweptAt is when the last row was gone; zero: some are still there, unreadable.
	SweptAt time.Time
}

// LedgerKind says what a line of the erasure ledger is about.
type LedgerKind string

// The kinds.
const (
	LedgerErased     LedgerKind = "erased"
	LedgerReadmitted LedgerKind = "readmitted"
)

// LedgerRecord is one line of the erasure ledger. It names nobody to whoever has not the
// key directory.
type LedgerRecord struct {
	Kind LedgerKind
	// Erasure is the one that the line announces; zero for [LedgerReadmitted].
	Erasure ErasureID
	// Person is [vault.Vault.LedgerTag]; zero for [LedgerReadmitted].
	Person [16]byte
	// Request and Plan are those of the erasure; zero where there are none.
	Request RequestID
	Plan    audit.Digest
	// Suppressed are the tags ([vault.Vault.SuppressionTag]) of the identifiers that are
	// refused from now on, or that are not refused any more.
	Suppressed [][16]byte
	At         time.Time
}

// LedgerPosition is where a line stands in the ledger.
type LedgerPosition struct {
	Sequence uint64 // from 1
	LineHash [32]byte
}

// LedgerWriter is the erasure ledger, a file outside the database.
type LedgerWriter interface {
	// Record appends a line. It MUST be durable when it returns without an error: an
	// erasure that is in the ledger happens, whatever becomes of the database.
	Record(ctx context.Context, record LedgerRecord) (LedgerPosition, error)
}
