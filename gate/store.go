package gate

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

// Store is what the gate needs of the database.
type Store interface {
	// Resolve finds the person with one of the blind indexes, or returns an error
	// wrapping [privacy.ErrNotFound].
	Resolve(ctx context.Context, kind privacy.IdentifierKind, indexes [][]byte) (privacy.DataSubjectID, error)
	// Load reads everything that one decision needs in one round trip and from one
	// snapshot: every consent change acknowledged before the call is in it. A person
	// who does not exist is not an error; the snapshot says so.
	Load(ctx context.Context, load LoadQuery) (Snapshot, error)
	// RecordExposure appends the row and the event in one transaction and returns when
	// both are durable. It must fail with [privacy.ErrConflict], having changed
	// nothing, when the recipient already has a row with this number, and with
	// [privacy.ErrNotFound] when the person does not exist any more.
	RecordExposure(ctx context.Context, row ExposureRow, event audit.Event) (audit.Receipt, error)
}

// Slot is where a sealed category is stored.
type Slot = [16]byte

// MaxStreams is how many event streams one query may draw upon.
const MaxStreams = 4

// LoadQuery says what to read.
type LoadQuery struct {
	DataSubject privacy.DataSubjectID
	// Purposes are the purposes whose consent records are read.
	Purposes []privacy.Purpose
	Channel  privacy.Channel
	// Recipient is whose exposure ledger is read; empty for none.
	Recipient privacy.RecipientID
	// Records are slots of sealed records.
	Records []Slot
	// Streams are slots of at most MaxStreams event streams, of each of which the newest
	// Chunks chunks are read.
	Streams []Slot
	Chunks  int
	// LogSize asks for the size of the audit log in the same snapshot.
	LogSize bool
	// Case is the case whose row is read; zero for none.
	Case casework.ID
}

// Snapshot is the state of one person at one moment.
type Snapshot struct {
	// At is the database's clock when it was read; the one clock of consent.
	At time.Time
	// Known is whether the person exists and their key has not been shredded.
	Known        bool
	Jurisdiction privacy.Jurisdiction
	Restricted   bool
	WrappedKey   []byte
	Records      []SealedRecord
	// Chunks are the newest of each stream, newest first.
	Chunks   []SealedChunk
	Consents []consent.Record
	// Exposure is the newest row of the recipient's ledger; its number is zero if
	// there is none.
	Exposure ExposureRow
	// LogSize is set if it was asked for.
	LogSize uint64
	// Case is the case that was asked for, if it is about this person and the recipient's.
	Case casework.Case
}

// SealedRecord is a stored record.
type SealedRecord struct {
	Slot    Slot
	Version int64
	Sealed  []byte
}

// SealedChunk is a stored chunk of a stream.
type SealedChunk struct {
	Slot           Slot
	Chunk, Version int64
	Sealed         []byte
}

// ExposureRow is a row of the exposure ledger. Each holds all that is still to be
// remembered, so only the newest is read.
type ExposureRow struct {
	DataSubject privacy.DataSubjectID
	Recipient   privacy.RecipientID
	// Number counts from one, without gaps.
	Number     int64
	Sealed     []byte
	ReleasedAt time.Time
}
