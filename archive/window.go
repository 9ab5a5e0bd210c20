package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// page is how many entries are read at once.
	page = 4096
	// clockSlack is how far entries may be out of the order of their times: the clock of
	// another process, or one that was set back.
	clockSlack = 10 * time.Minute
)

// decision is one entry that a policy decided, as the log has it.
type decision struct {
	id    audit.DecisionID
	entry audit.Entry
}

func (d *decision) pair() Pair { return Pair{d.entry.Policy, d.entry.Facts} }

// isDecision reports whether entries of that kind tell of a decision about one person.
func isDecision(kind audit.Kind) bool {
	switch kind {
	case audit.QueryAnswered, audit.QueryDenied, audit.PersonReidentified, audit.ReidentifyDenied:
		return true
	}
	return false
}

// parse reads a stored entry and checks that its hash is its own.
func parse(stored *audit.StoredEntry) (decision, error) {
	entry, err := audit.ParseEntry(stored.Leaf)
	if err == nil && audit.LeafHash(stored.Leaf) != [32]byte(stored.LeafHash) {
		err = privacy.ErrDamaged
	}
	if err != nil {
		return decision{}, fmt.Errorf("reading entry %d of the log: %w", stored.Index, err)
	}
	return decision{id: audit.DecisionID{Index: stored.Index, EntryID: entry.ID}, entry: entry}, nil
}

// at returns the entry with that index, or an error that wraps [privacy.ErrNotFound], and
// [audit.ErrArchived] if it was there and only an archive has it.
func (a *Archive) at(ctx context.Context, index uint64) (decision, error) {
	stored, err := a.log.Entries(ctx, index, 1)
	if err != nil {
		return decision{}, err
	}
	// Logs begin with a partition.
	if len(stored) == 0 || stored[0].Index != index && stored[0].Index%audit.PartitionSize != 0 {
		return decision{}, fmt.Errorf("reading entry %d of the log: %w", index, privacy.ErrNotFound)
	}
	if first := stored[0].Index; first != index {
		return decision{}, fmt.Errorf("reading entry %d of a log that begins with %d: %w", index, first, audit.ErrArchived)
	}
	return parse(&stored[0])
}

// walk calls visit for each decision that a policy made since then, in the order of the
// log as it is now.
func (a *Archive) walk(ctx context.Context, since time.Time, visit func(*decision)) error {
	size, err := a.log.Size(ctx)
	if err != nil {
		return err
	}
	from, err := a.firstSince(ctx, since.Add(-clockSlack), size)
	if err != nil {
		return err
	}
	for begun := false; from < size; begun = true {
		stored, err := a.log.Entries(ctx, from, int(min(page, size-from)))
		if err != nil {
			return err
		}
		// The oldest may have been retired; nothing behind them may be missing.
		if len(stored) == 0 || begun && stored[0].Index != from {
			return fmt.Errorf("reading entry %d of the log: %w", from, privacy.ErrNotFound)
		}
		for i := range stored {
			if stored[i].Index >= size {
				break
			}
			d, err := parse(&stored[i])
			if err != nil {
				return err
			}
			if isDecision(d.entry.Kind) && d.entry.Policy != (audit.Digest{}) && !d.entry.Time.Before(since) {
				visit(&d)
			}
		}
		from = stored[len(stored)-1].Index + 1
	}
	return nil
}

// firstSince finds the first entry that is not older, in a log whose times ascend but for
// the slack. Entries whose partition was retired count as older.
func (a *Archive) firstSince(ctx context.Context, since time.Time, size uint64) (uint64, error) {
	low, high := uint64(0), size
	for low < high {
		middle := low + (high-low)/2
		stored, err := a.log.Entries(ctx, middle, 1)
		if err != nil {
			return 0, err
		}
		if len(stored) == 0 || stored[0].Index >= high {
			high = middle // nothing is left in between
			continue
		}
		d, err := parse(&stored[0])
		if err != nil {
			return 0, err
		}
		if d.entry.Time.Before(since) {
			low = stored[0].Index + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// undecided reports whether the entry says that the policies came to no plan.
func undecided(entry *audit.Entry) bool {
	return len(entry.Checks) == 1 && entry.Checks[0] == gate.CheckPolicy
}

// damagedOnly reports whether the entry says that stored data did not open.
func damagedOnly(entry *audit.Entry) bool {
	return len(entry.Checks) == 1 && entry.Checks[0] == gate.CheckDamaged
}
