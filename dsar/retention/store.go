package retention

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// RunID names a run. It is a random UUIDv4.
type RunID [16]byte

// Held is what a store holds about one person, sealed.
type Held struct {
	ID         privacy.DataSubjectID
	Wrapped    []byte
	KnownSince time.Time
	// Holds are the scopes ([dsar.HoldScope]) of the legal holds on the person, as tags,
	// sorted; zero is everything.
	Holds   [][16]byte
	Records []SealedRecord
	// Chunks are in the order of their numbers.
	Chunks []SealedChunk
	// Choices are in the order in which they were made.
	Choices []Choice
}

// SealedRecord is one category's record.
type SealedRecord struct {
	Slot    [16]byte
	Version int64
	Sealed  []byte
	// UpdatedAt is when it was last written.
	UpdatedAt time.Time
}

// SealedChunk is one chunk of a stream.
type SealedChunk struct {
	Slot            [16]byte
	Number, Version int64
	Sealed          []byte
}

// RecordChange replaces a record of which something goes, or deletes it if nothing stays.
type RecordChange struct {
	ID   privacy.DataSubjectID
	Slot [16]byte
	// Version is the one that is replaced or deleted.
	Version int64
	// Sealed is what stays, as the next version; nil: nothing.
	Sealed []byte
}

// ChunkChange does the same to a chunk.
type ChunkChange struct {
	RecordChange
	Number int64
	Count  int
}

// Count is how much of something was destroyed, and how much a legal hold kept although
// it had had its period.
type Count struct {
	// What is "values", "events" or a kind of rows.
	What string `json:"what"`
	// Category is empty for rows.
	Category  privacy.DataCategory `json:"category,omitempty"`
	Destroyed int64                `json:"destroyed"`
	Held      int64                `json:"held,omitempty"`
}

// Mark says when somebody is to be looked at again.
type Mark struct {
	ID  privacy.DataSubjectID
	Due time.Time
}

// Batch is what is done about some people at once.
type Batch struct {
	Run RunID
	// Holds are those that the changes were made under, by person, sorted by id.
	People  []privacy.DataSubjectID
	Holds   [][][16]byte
	Records []RecordChange
	Chunks  []ChunkChange
	Marks   []Mark
	Counts  []Count
}

// ErrNothing undoes a step that has nothing to do, so that no entry says it did.
var ErrNothing = errors.New("there is nothing to delete")

// Run is one run as it is recorded.
type Run struct {
	ID       RunID
	Policy   audit.Digest
	Started  time.Time
	Finished time.Time // zero: it goes on, or broke off
	People   int64
}

// Store is what the runner needs of the database. Whatever changes something commits with
// its entry or not at all.
type Store interface {
	// Due returns people who are to be looked at, by id, beginning behind after.
	Due(ctx context.Context, after privacy.DataSubjectID, at time.Time, limit int) ([]privacy.DataSubjectID, error)
	// CountDue returns how many there are.
	CountDue(ctx context.Context, at time.Time) (int64, error)
	// Read returns what is held about people; whoever is gone is left out.
	Read(ctx context.Context, people []privacy.DataSubjectID) ([]Held, error)
	// Apply MUST lock the people's rows, return an error that wraps [privacy.ErrConflict]
	// if their holds are not those of the batch or something is not as it was read, and
	// then do all of the batch with the entry.
	Apply(ctx context.Context, batch Batch, event audit.Event) (audit.Receipt, error)
	// Look records marks, of people about whom nothing changed, and counts of a run.
	Look(ctx context.Context, batch Batch) error
	// CountOld returns how many rows of a kind are older than a moment.
	CountOld(ctx context.Context, kind policies.RecordKind, before time.Time) (int64, error)
	// DropOld deletes at most limit of them, and adds to the run's counts. It returns
	// [ErrNothing] if none could be deleted, with how many a hold keeps.
	DropOld(ctx context.Context, run RunID, kind policies.RecordKind, before time.Time, limit int, event audit.Event) (destroyed, held int64, err error)
	// Ended returns things that were withheld from an erasure and whose ground has ended.
	Ended(ctx context.Context, at time.Time, limit int) ([][16]byte, error)
	// DropWithheld destroys them, and adds to the run's counts.
	DropWithheld(ctx context.Context, run RunID, ids [][16]byte, event audit.Event) (int64, audit.Receipt, error)
	// BeginRun and FinishRun record a run.
	BeginRun(ctx context.Context, run Run) error
	FinishRun(ctx context.Context, id RunID, at time.Time) error
	// LastFinished returns when the last run that came to its end did so; zero: none has.
	LastFinished(ctx context.Context) (time.Time, error)
	// Destruction sums up what was destroyed in a time, by runs and by erasures.
	Destruction(ctx context.Context, from, to time.Time) (Destruction, error)
	// LastReport returns the end of the time that the last report is about; zero: none.
	LastReport(ctx context.Context) (time.Time, error)
	// FirstRun returns when the first run began; zero: there was none.
	FirstRun(ctx context.Context) (time.Time, error)
	// AddReport records a signed report with its entry.
	AddReport(ctx context.Context, id [16]byte, from, to time.Time, note []byte, event audit.Event) (audit.Receipt, error)
	// Now is the clock by which everything is decided.
	Now(ctx context.Context) (time.Time, error)
}
