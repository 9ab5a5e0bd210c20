package witness

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// ErrUnknownKey says that a checkpoint is signed, but by no key that is known as one of the
// log. It comes with [privacy.ErrDamaged].
var ErrUnknownKey = errors.New("not signed by a known key of the log")

// Cosigned is what [Policy.Check] found under a checkpoint.
type Cosigned struct {
	// Checkpoint is what was signed.
	Checkpoint audit.Checkpoint
	// Log is the key of the log that signed it.
	Log note.Verifier
	// Cosignatures are those of witnesses of the policy, in its order.
	Cosignatures []Cosignature
	// Quorum is whether they are enough.
	Quorum bool
	// At is when they became enough, as the witnesses say; zero if they did not, or if the
	// quorum is none.
	At time.Time
}

// Check opens a checkpoint: a log of the policy, or one of logs, must have signed it, and
// what witnesses of the policy have put under it is counted. Signatures by others are left
// alone. One by a known key that does not verify is an error that wraps
// [privacy.ErrDamaged], and so is a checkpoint that no known log signed, which also wraps
// [ErrUnknownKey]. Without a quorum there is no error: see [Cosigned.Quorum].
func (p *Policy) Check(signed []byte, logs ...note.Verifier) (Cosigned, error) {
	known := slices.Clone(p.logs)
	for _, log := range logs {
		if !slices.ContainsFunc(known, sameKey(log)) {
			known = append(known, log)
		}
	}
	all := slices.Clone(known)
	for i := range p.witnesses {
		all = append(all, p.witnesses[i].Verifier)
	}
	n, err := note.Open(bytes.Clone(signed), note.VerifierList(all...))
	if err != nil {
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			err = ErrUnknownKey
		}
		return Cosigned{}, fmt.Errorf("opening checkpoint: %w: %w", err, privacy.ErrDamaged)
	}
	if !audit.HasPlainSignatures(signed) {
		return Cosigned{}, fmt.Errorf("opening checkpoint: a signature is spelled otherwise: %w", privacy.ErrDamaged)
	}
	var c Cosigned
	if c.Checkpoint, err = audit.ParseCheckpoint(n.Text); err != nil {
		return Cosigned{}, err
	}
	for _, log := range known {
		if log.Name() == c.Checkpoint.Origin && slices.ContainsFunc(n.Sigs, signatureOf(log)) {
			c.Log = log
			break
		}
	}
	if c.Log == nil {
		return Cosigned{}, fmt.Errorf("opening checkpoint: %w: %w", ErrUnknownKey, privacy.ErrDamaged)
	}
	for i := range p.witnesses {
		w := &p.witnesses[i]
		if at := slices.IndexFunc(n.Sigs, signatureOf(w.Verifier)); at >= 0 {
			cosignature, err := newCosignature(w, n.Sigs[at])
			if err != nil {
				return Cosigned{}, err
			}
			c.Cosignatures = append(c.Cosignatures, cosignature)
		}
	}
	c.Quorum, c.At = p.complete(c.Cosignatures)
	return c, nil
}

// complete reports whether the cosignatures make the quorum, and since when.
func (p *Policy) complete(cosignatures []Cosignature) (bool, time.Time) {
	if p.quorum == none {
		return true, time.Time{}
	}
	byTime := slices.Clone(cosignatures)
	slices.SortStableFunc(byTime, func(a, b Cosignature) int { return a.Time.Compare(b.Time) })
	signed := map[string]bool{}
	for _, c := range byTime {
		signed[c.Witness] = true
		if p.Enough(func(name string) bool { return signed[name] }) {
			return true, c.Time
		}
	}
	return false, time.Time{}
}

func sameKey(a note.Verifier) func(note.Verifier) bool {
	return func(b note.Verifier) bool { return a.Name() == b.Name() && a.KeyHash() == b.KeyHash() }
}

func signatureOf(v note.Verifier) func(note.Signature) bool {
	return func(s note.Signature) bool { return s.Name == v.Name() && s.Hash == v.KeyHash() }
}
