package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Relation is how a newer state of a log stands to an older one.
type Relation string

// The relations.
const (
	Same     Relation = "same"
	Extended Relation = "extended"
	// Truncated: the newer one is the beginning of the older one, and the rest is gone.
	Truncated Relation = "truncated"
	// Forked: they differ in an entry that both have.
	Forked Relation = "forked"
)

// Difference is the outcome of [Diff].
type Difference struct {
	Relation Relation         `json:"relation"`
	Old      audit.Checkpoint `json:"-"`
	New      audit.Checkpoint `json:"-"`
	// First is the first index at which they differ, or at which one of them ends. Of a fork
	// it is known only if both are bundles with what is needed; Known says so.
	First uint64 `json:"first_index"`
	Known bool   `json:"first_index_known"`
	// OwnKeys is true if no key was given, and that which lies in both counted.
	OwnKeys bool `json:"own_keys"`
}

// Whole reports whether nothing of the older state is lost.
func (d *Difference) Whole() bool { return d.Relation == Same || d.Relation == Extended }

// State is a state of a log: a bundle, or a checkpoint alone.
type State struct {
	checkpoint audit.Checkpoint
	bundle     *Bundle
}

// StateOf is the state that a bundle holds.
func StateOf(b *Bundle) State { return State{b.checkpoint, b} }

// SameKey reports whether two bundles were opened by one key.
func (s *State) SameKey(other *State) bool {
	a, b := s.bundle, other.bundle
	return a != nil && b != nil && a.verifier.Name() == b.verifier.Name() && a.verifier.KeyHash() == b.verifier.KeyHash()
}

// CheckpointState is the state of a signed checkpoint that somebody kept. The error wraps
// [privacy.ErrDamaged].
func CheckpointState(signed []byte, verifier note.Verifier) (State, error) {
	c, err := audit.OpenCheckpoint(signed, verifier)
	return State{checkpoint: c}, err
}

// rootAt is the root when the log had a smaller or the same size.
func (s *State) rootAt(ctx context.Context, size uint64) (tlog.Hash, error) {
	if size == s.checkpoint.Size {
		return s.checkpoint.Root, nil
	}
	if s.bundle == nil {
		return tlog.Hash{}, fmt.Errorf("the checkpoint of %d entries says nothing about %d; a bundle would: %w", s.checkpoint.Size, size, privacy.ErrInvalid)
	}
	return tlog.TreeHash(int64(size), s.bundle.hashes(ctx))
}

// Diff compares two states of a log by their tiles, which it proves by their checkpoints: it
// reads a few, however long the log is. It does not read entries; [Verify] does. An error
// says that they could not be compared: states of two logs, a file that is missing or does not
// prove itself, a checkpoint alone where tiles are needed.
func Diff(ctx context.Context, older, newer State) (Difference, error) {
	d := Difference{Old: older.checkpoint, New: newer.checkpoint}
	if d.Old.Origin != d.New.Origin {
		return d, fmt.Errorf("comparing states of the logs %s and %s: %w", d.Old.Origin, d.New.Origin, privacy.ErrInvalid)
	}
	size := min(d.Old.Size, d.New.Size)
	if older.bundle == nil && d.Old.Size > d.New.Size {
		// That it is shorter needs no tiles. Whether what is left is the same is not known.
		d.Relation, d.First, d.Known = Truncated, size, true
		return d, nil
	}
	a, err := older.rootAt(ctx, size)
	if err != nil {
		return d, fmt.Errorf("comparing logs: %w", err)
	}
	b, err := newer.rootAt(ctx, size)
	if err != nil {
		return d, fmt.Errorf("comparing logs: %w", err)
	}
	d.First, d.Known = size, true
	switch {
	case a != b:
		d.Relation = Forked
		d.First, d.Known, err = firstDifference(ctx, older.bundle, newer.bundle, size)
	case d.Old.Size == d.New.Size:
		d.Relation = Same
	case d.Old.Size < d.New.Size:
		d.Relation = Extended
	default:
		d.Relation = Truncated
	}
	if err != nil {
		return d, fmt.Errorf("comparing logs: %w", err)
	}
	return d, nil
}

// firstDifference goes down both trees to the first leaf in which they differ. If one of them is
// no bundle, or lacks tiles there because old entries were archived, the place is known only
// so far.
func firstDifference(ctx context.Context, a, b *Bundle, size uint64) (uint64, bool, error) {
	if a == nil || b == nil {
		return 0, false, nil
	}
	left, right := a.hashes(ctx), b.hashes(ctx)
	differ := func(level int, n uint64) (bool, error) {
		index := []int64{tlog.StoredHashIndex(level, int64(n))}
		x, err := left.ReadHashes(index)
		if err != nil {
			return false, err
		}
		y, err := right.ReadHashes(index)
		if err != nil {
			return false, err
		}
		return x[0] != y[0], nil
	}
	start := uint64(0)
	for rest := size; rest != 0; {
		level := bits.Len64(rest) - 1
		rest &^= 1 << level
		different, err := differ(level, start>>level)
		if err != nil {
			return start, false, archived(err)
		}
		if !different {
			start += 1 << level
			continue
		}
		for ; level > 0; level-- {
			// The left half, or else the right one.
			if different, err = differ(level-1, start>>(level-1)); err != nil {
				return start, false, archived(err)
			}
			if !different {
				start += 1 << (level - 1)
			}
		}
		return start, true, nil
	}
	return 0, false, fmt.Errorf("the roots differ, and no entry does: %w", privacy.ErrDamaged)
}

// archived passes over the error that tiles are not there.
func archived(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
