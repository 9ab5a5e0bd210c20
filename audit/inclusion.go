package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// Inclusion proves to somebody who has nothing but the log's public key that one entry is
// in the log: the entry, a signed checkpoint of a tree that it is in, and the hashes that
// lead from the one to the other (RFC 6962 section 2.1.1).
type Inclusion struct {
	// Index is the entry's position in the log, from zero.
	Index uint64
	// Leaf are the bytes of the entry.
	Leaf []byte
	// Path are the hashes of the audit path, from the leaf up.
	Path []tlog.Hash
	// Checkpoint is the signed note of a tree that has the entry.
	Checkpoint []byte
}

// Verify recomputes the root of the checkpoint from the entry and returns the entry. It
// fails with an error that wraps [privacy.ErrDamaged] if anything differs.
func (i *Inclusion) Verify(verifier note.Verifier) (Entry, error) {
	checkpoint, err := OpenCheckpoint(i.Checkpoint, verifier)
	if err != nil {
		return Entry{}, err
	}
	if i.Index >= checkpoint.Size {
		return Entry{}, fmt.Errorf("verifying inclusion of entry %d in a log of %d entries: %w", i.Index, checkpoint.Size, privacy.ErrDamaged)
	}
	err = tlog.CheckRecord(i.Path, int64(checkpoint.Size), checkpoint.Root, int64(i.Index), LeafHash(i.Leaf))
	if err != nil {
		return Entry{}, fmt.Errorf("verifying inclusion: %w: %w", err, privacy.ErrDamaged)
	}
	return ParseEntry(i.Leaf)
}
