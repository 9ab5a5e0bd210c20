package archive

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// Pair is a policy and the facts that it decided on, as the log names them.
type Pair struct{ Policy, Facts audit.Digest }

// Store is what the archive needs of the database.
type Store interface {
	// HasBundle reports whether a bundle was kept.
	HasBundle(ctx context.Context, policy audit.Digest) (bool, error)
	// KeepBundle and KeepDecided must return only after the row is durable, and must
	// change nothing when there is one already.
	KeepBundle(ctx context.Context, policy audit.Digest, content []byte) error
	KeepDecided(ctx context.Context, row DecidedRow) error
	// Bundle returns what was kept, or an error that wraps [privacy.ErrNotFound].
	Bundle(ctx context.Context, policy audit.Digest) ([]byte, error)
	// Decided returns the rows of these pairs, in any order.
	Decided(ctx context.Context, pairs []Pair) ([]DecidedRow, error)
	// KeepPeople replaces the rows of the same pair, day and part.
	KeepPeople(ctx context.Context, rows []PeopleRow) error
	// People returns the rows of these pairs from the first to the last day.
	People(ctx context.Context, pairs []Pair, first, last time.Time) ([]PeopleRow, error)
}

// DecidedRow is facts and plan, sealed.
type DecidedRow struct {
	Pair
	// Planned is whether the policies came to a plan.
	Planned bool
	Sealed  []byte
}

// PeopleRow is a sketch of the people of one day, sealed.
type PeopleRow struct {
	Pair
	// Day is midnight, UTC.
	Day time.Time
	// Part tells apart the processes that counted.
	Part   [16]byte
	Sealed []byte
}

// Log is what the archive needs of the log.
type Log interface {
	audit.Appender
	// Size is how many entries there are.
	Size(ctx context.Context) (uint64, error)
	// Entries returns up to limit entries from an index on, in order.
	Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error)
}
