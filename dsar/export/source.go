package export

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Store reads what is held about people.
type Store interface {
	// AuditSubject returns what the log needs of a person, or an error that wraps
	// [privacy.ErrNotFound].
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
	// Read calls use with a reader of one state of the person: whatever changes meanwhile,
	// the reader MUST NOT see. The error wraps [privacy.ErrNotFound] if there is nobody, and
	// is otherwise that of use.
	Read(ctx context.Context, id privacy.DataSubjectID, use func(Reader) error) error
	// Record MUST commit the entry for event durably, and MUST refuse with an error that
	// wraps [privacy.ErrNotFound], without an entry, if the person has no key any more: an
	// export that an erasure has overtaken is never completed.
	Record(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (audit.Receipt, error)
}

// Reader reads one state of one person. It is for one goroutine.
type Reader interface {
	Person() Person
	Key() *vault.PersonKey
	// Records opens what is held in these categories.
	Records(ctx context.Context, categories []privacy.DataCategory) (map[privacy.DataCategory]vault.Record, error)
	// Streams counts the events held in these categories; those without are left out.
	Streams(ctx context.Context, categories []privacy.DataCategory) (map[privacy.DataCategory]int64, error)
	// Chunks returns up to limit chunks of a stream, oldest first, from a number on.
	Chunks(ctx context.Context, stream privacy.DataCategory, from int64, limit int) ([]Chunk, error)
	// Consents returns the consent ledger, oldest first.
	Consents(ctx context.Context) ([]consent.Record, error)
	// Exposures returns the newest row of each recipient's exposure ledger.
	Exposures(ctx context.Context) ([]gate.ExposureRow, error)
	// Stays returns the clean rooms that the person was drawn into, in a fixed order.
	Stays(ctx context.Context) ([]Stay, error)
}

// Stay is a clean room that somebody was drawn into with a dataset.
type Stay struct {
	Room    cleanroom.RoomID
	Dataset cleanroom.DatasetRef
	Purpose privacy.Purpose
	// Members are the parties of the room.
	Members []privacy.RecipientID
	// First and Last are when the person was drawn.
	First, Last time.Time
	// Present is whether they are in it now: in these snapshots.
	Present   bool
	Snapshots []cleanroom.SnapshotID
}

// Person is what is held in clear about a person.
type Person struct {
	Jurisdiction privacy.Jurisdiction
	Restricted   bool
	CreatedAt    time.Time
}

// Chunk is some events of a stream, sealed.
type Chunk struct {
	Number, Version int64
	Sealed          []byte
}

// Log is what an export needs of the audit log.
type Log interface {
	audit.TrailReader
	// Size is how many entries are committed.
	Size(ctx context.Context) (uint64, error)
	// LatestCheckpoint returns the newest signed note, or an error that wraps
	// [privacy.ErrNotFound].
	LatestCheckpoint(ctx context.Context) ([]byte, error)
	// EntriesAt returns the entries with these indexes, which ascend, in order.
	EntriesAt(ctx context.Context, indexes []uint64) ([]audit.StoredEntry, error)
}

// Decisions explains what policies decided. [archive.Archive] does.
type Decisions interface {
	Explain(ctx context.Context, pairs []archive.Pair) (map[archive.Pair]archive.Explained, error)
}

// Catalogue is the catalogue in force.
type Catalogue = func() *policies.Catalogue
