package intake

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Store keeps sealed records. A batch costs it three calls, each of which must be one
// round trip: Resolve, Held, Commit.
type Store interface {
	// Resolve returns what each lookup found.
	Resolve(ctx context.Context, lookups []Lookup) ([]Resolved, error)
	// Held returns what is stored of each person that a batch touches, in the order of
	// wanted. A person who does not exist (any more) has no wrapped key.
	Held(ctx context.Context, wanted []Wanted) ([]Held, error)
	// Commit writes all changes and the event in one transaction and returns when they
	// are durable. It must fail with [privacy.ErrConflict], having changed nothing, if
	// a version is not the one after the stored one, if something that is added is
	// there already (but for a consent record, which is then left alone), if an
	// existing person was erased meanwhile, or if an identifier that is added is suppressed:
	// an erasure comes wholly before a batch, and is then obeyed, or wholly after it.
	Commit(ctx context.Context, changes Changes, event audit.Event) (audit.Receipt, error)
	// Progress returns how far a file was loaded, the zero value if it was not begun.
	Progress(ctx context.Context, file, mapping audit.Digest) (Progress, error)
	// SetProgress notes that rows were read which changed nothing about anybody.
	SetProgress(ctx context.Context, progress Progress) error
}

// Lookup is one identifier under every active key of its kind.
type Lookup struct {
	Kind         privacy.IdentifierKind
	BlindIndexes [][]byte
	// Suppressions are the tags by which an erasure would have suppressed it.
	Suppressions [][16]byte
}

// Resolved is what is known of an identifier.
type Resolved struct {
	// Person has it; zero: nobody.
	Person privacy.DataSubjectID
	// Suppressed: somebody had it who was erased, and it may not come back.
	Suppressed bool
}

// Wanted is what a batch needs to know of one person.
type Wanted struct {
	ID privacy.DataSubjectID
	// Records and Streams are slots.
	Records, Streams [][16]byte
	// Fingerprints and Consents are asked for existence.
	Fingerprints, Consents [][16]byte
}

// Held is what is stored of one person.
type Held struct {
	// Wrapped is the wrapped person key; nil if the person does not exist.
	Wrapped []byte
	// Records by slot, and the newest chunk of each stream by slot.
	Records map[[16]byte]SealedRecord
	Chunks  map[[16]byte]SealedChunk
	// Fingerprints and Consents are those of the wanted that are there.
	Fingerprints, Consents map[[16]byte]bool
}

// SealedRecord is a stored record.
type SealedRecord struct {
	Version int64
	Sealed  []byte
}

// SealedChunk is a stored chunk. Sealed is nil when the chunk is full.
type SealedChunk struct {
	Chunk   int64
	Version int64
	Count   int
	Sealed  []byte
}

// Changes is all that one batch writes.
type Changes struct {
	// People are new; Touched exist already and must still exist at the commit.
	People       []NewPerson
	Touched      []privacy.DataSubjectID
	Identifiers  []NewIdentifier
	Records      []RecordChange
	Chunks       []ChunkChange
	Fingerprints []NewFingerprint
	Consents     []consent.Record
	// Progress is committed with the batch; nil for a stream.
	Progress *Progress
}

// NewPerson is a person seen for the first time.
type NewPerson struct {
	ID           privacy.DataSubjectID
	Jurisdiction privacy.Jurisdiction
	Wrapped      []byte
}

// NewIdentifier is an identifier seen for the first time.
type NewIdentifier struct {
	ID         privacy.DataSubjectID
	Kind       privacy.IdentifierKind
	BlindIndex []byte
	// Suppressions are those of the [Lookup].
	Suppressions [][16]byte
}

// RecordChange is a sealed record; version 1 is new, any other replaces the one before.
type RecordChange struct {
	ID      privacy.DataSubjectID
	Slot    [16]byte
	Version int64
	Sealed  []byte
}

// ChunkChange is a sealed chunk of events, with versions like a record.
type ChunkChange struct {
	ID      privacy.DataSubjectID
	Slot    [16]byte
	Chunk   int64
	Version int64
	Count   int
	Sealed  []byte
}

// NewFingerprint marks an event as stored.
type NewFingerprint struct {
	ID          privacy.DataSubjectID
	Fingerprint [16]byte
}

// IsEmpty reports whether nothing about anybody changes.
func (c *Changes) IsEmpty() bool {
	return len(c.People) == 0 && len(c.Identifiers) == 0 && len(c.Records) == 0 &&
		len(c.Chunks) == 0 && len(c.Fingerprints) == 0 && len(c.Consents) == 0
}

// Progress is how far one file was loaded with one mapping. Row counts lines, the other
// numbers rows.
type Progress struct {
	// File and Mapping are digests: of the file as stored, and of the mapping with the
	// files that it joins.
	File, Mapping audit.Digest
	// Source is the mapping's.
	Source string
	// Row is the line on which the last row that was dealt with begins.
	Row int64
	// Rows is how many rows were dealt with; Accepted and Rejected are parts of it.
	Rows, Accepted, Rejected int64
	// Persons are the people of these rows (see [Summary]), NewPersons those who were
	// made, Events what the rows hold, NewEvents those that were not there before.
	Persons, NewPersons, Events, NewEvents int64
	// Done is set with the last row.
	Done bool
	// UpdatedAt is set by the store.
	UpdatedAt time.Time
}
