package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// Growth proves to somebody who kept an old checkpoint that the log of a newer one begins
// with everything that the old one committed to (RFC 6962 section 2.1.2). As a file it is
// what C2SP tlog-witness sends: see package audit/witness.
type Growth struct {
	// Old is the size of the old checkpoint.
	Old uint64
	// Path are the hashes of the consistency proof.
	Path []tlog.Hash
	// Checkpoint is the newer signed note.
	Checkpoint []byte
}

// Verify recomputes both roots and returns the newer checkpoint. The old one is the note
// as it was kept. An error wraps [privacy.ErrDamaged]: one of the two is not signed by the
// log's key, or the log did not grow out of the old one.
func (g *Growth) Verify(old []byte, verifier note.Verifier) (Checkpoint, error) {
	before, err := OpenCheckpoint(old, verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifying growth: the old checkpoint: %w", err)
	}
	after, err := OpenCheckpoint(g.Checkpoint, verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifying growth: %w", err)
	}
	if before.Size != g.Old {
		return Checkpoint{}, fmt.Errorf("verifying growth since %d entries by a checkpoint of %d: %w", g.Old, before.Size, privacy.ErrDamaged)
	}
	if err := tlog.CheckTree(g.Path, int64(after.Size), after.Root, int64(before.Size), before.Root); err != nil {
		return Checkpoint{}, fmt.Errorf("verifying growth: the log of %d entries does not begin with that of %d: %w: %w", after.Size, before.Size, err, privacy.ErrDamaged)
	}
	return after, nil
}

// ProveGrowth makes the proof out of the hashes of the log of a newer checkpoint, and
// verifies it: of a log that did not grow out of the old checkpoint there is none.
func ProveGrowth(old, newer []byte, verifier note.Verifier, hashes tlog.HashReader) (Growth, error) {
	before, err := OpenCheckpoint(old, verifier)
	if err != nil {
		return Growth{}, fmt.Errorf("proving growth: the old checkpoint: %w", err)
	}
	after, err := OpenCheckpoint(newer, verifier)
	if err != nil {
		return Growth{}, fmt.Errorf("proving growth: %w", err)
	}
	if before.Size == 0 || before.Size > after.Size {
		return Growth{}, fmt.Errorf("proving growth: the old checkpoint has %d entries, the log %d: %w", before.Size, after.Size, privacy.ErrDamaged)
	}
	path, err := tlog.ProveTree(int64(after.Size), int64(before.Size), hashes)
	if err != nil {
		return Growth{}, fmt.Errorf("proving growth: %w", err)
	}
	g := Growth{Old: before.Size, Path: path, Checkpoint: newer}
	_, err = g.Verify(old, verifier)
	return g, err
}
