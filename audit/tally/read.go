package tally

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Source is a log to be read: in the database, or in an auditor's bundle.
type Source interface {
	// Size is the index behind the last entry.
	Size(ctx context.Context) (uint64, error)
	// Entries returns up to limit entries from an index on, in order and without gaps,
	// and at least one unless there are no more.
	Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error)
}

// Config says what is counted.
type Config struct {
	// From and To bound the period by the time of the entries; zero is unbounded. To is
	// not part of it.
	From, To time.Time
	// Begin is the index of the first entry that is still there; those before it were
	// archived.
	Begin uint64
	// Checkpoint, unless its size is zero, is one that the log's key signed: the entries
	// must lead to its root.
	Checkpoint audit.Checkpoint
	// Progress is told from time to time how many entries were read; it may be nil.
	Progress func(done, total uint64)
}

// pageOf is how many entries are read at once.
const pageOf = 1024

// Read reads a log from beginning to end, in flat memory, and counts what happened in the
// period. Entries need not be in the order of their times, so all are read.
//
// A gap, an entry that is none (of a kind that this program does not know, say), and
// entries that do not lead to the checkpoint are errors that wrap [privacy.ErrDamaged]:
// there is no report on a log that is not whole.
func Read(ctx context.Context, source Source, config Config) (Report, Proof, error) {
	size, err := source.Size(ctx)
	if err != nil {
		return Report{}, Proof{}, fmt.Errorf("counting entries: %w", err)
	}
	r := reading{config: config, tally: &tally{report: Report{From: config.From.UTC(), To: config.To.UTC()}}}
	if config.From.IsZero() {
		r.tally.report.From = time.Time{}
	}
	if config.To.IsZero() {
		r.tally.report.To = time.Time{}
	}
	for next := config.Begin; next < size; {
		page, err := source.Entries(ctx, next, int(min(pageOf, size-next)))
		if err != nil {
			return Report{}, Proof{}, fmt.Errorf("counting entries: %w", err)
		}
		if len(page) == 0 {
			return Report{}, Proof{}, fmt.Errorf("counting entries: entry %d is missing: %w", next, privacy.ErrDamaged)
		}
		for i := range page {
			if err := r.entry(next, &page[i]); err != nil {
				return Report{}, Proof{}, fmt.Errorf("counting entries: %w", err)
			}
			next++
		}
		if config.Progress != nil {
			config.Progress(next-config.Begin, size-config.Begin)
		}
	}
	proof := Proof{Begin: config.Begin, Size: size, Signed: r.signed}
	if config.Begin == 0 {
		root := r.edge.Root()
		proof.Root = hex.EncodeToString(root[:])
	}
	if config.Begin == 0 && config.Checkpoint.Size > size {
		return Report{}, Proof{}, fmt.Errorf("counting entries: a checkpoint covers %d entries, and there are %d: %w", config.Checkpoint.Size, size, privacy.ErrDamaged)
	}
	return r.tally.result(), proof, nil
}

// reading is the state of one [Read].
type reading struct {
	config Config
	tally  *tally
	edge   audit.Edge
	full   []audit.FullTile
	signed uint64
}

func (r *reading) entry(index uint64, stored *audit.StoredEntry) error {
	if stored.Index != index {
		return fmt.Errorf("entry %d is missing: %w", index, privacy.ErrDamaged)
	}
	hash := tlog.Hash(audit.LeafHash(stored.Leaf))
	if hash != stored.LeafHash {
		return fmt.Errorf("entry %d is not what was hashed: %w", index, privacy.ErrDamaged)
	}
	e, err := audit.ParseEntry(stored.Leaf)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	if r.config.Begin == 0 {
		r.full = r.edge.Append(hash, r.full[:0])
		if c := &r.config.Checkpoint; c.Size == r.edge.Size() {
			if c.Root != r.edge.Root() {
				return fmt.Errorf("the first %d entries do not lead to the signed checkpoint: %w", c.Size, privacy.ErrDamaged)
			}
			r.signed = c.Size
		}
	}
	if c := &r.config; (c.From.IsZero() || !e.Time.Before(c.From)) && (c.To.IsZero() || e.Time.Before(c.To)) {
		r.tally.add(index, &e)
	}
	return nil
}
