package bundle

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Proved is what a proof file shows.
type Proved struct {
	Index uint64
	// Entry is the entry, of which the file has the bytes.
	Entry audit.Entry
	// Checkpoint is the signed tree that has it.
	Checkpoint audit.Checkpoint
	// Note is the checkpoint with all its signatures, those of witnesses too.
	Note []byte
}

// CheckProof checks a proof file (docs/spec/proof.md) with the log's public key and nothing
// else: no network, no log. The error wraps [privacy.ErrDamaged] and says what does not fit.
func CheckProof(file []byte, verifier note.Verifier) (Proved, error) {
	proof, err := audit.ParseProof(file)
	if err != nil {
		return Proved{}, err
	}
	entry, err := proof.Verify(verifier)
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return Proved{}, fmt.Errorf("checking proof: the checkpoint is signed by somebody else: %w", privacy.ErrDamaged)
	}
	if err != nil {
		return Proved{}, err
	}
	checkpoint, err := audit.OpenCheckpoint(proof.Checkpoint, verifier)
	if err != nil {
		return Proved{}, fmt.Errorf("checking proof: %w", err)
	}
	return Proved{Index: proof.Index, Entry: entry, Checkpoint: checkpoint, Note: proof.Checkpoint}, nil
}
