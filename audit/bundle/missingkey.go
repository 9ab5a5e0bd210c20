package bundle

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
)

// missingKeys says, of a note that no known key signed, whose signatures it claims to have: the
// name and hash with which that key's text begins. A log whose key was changed has checkpoints by
// the former one, and they count only for whoever brings that key along as well.
func (v *verification) missingKeys(signed []byte) string {
	_, err := note.Open(signed, note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return "or it was altered"
	}
	var missing []string
	for _, s := range unverified.Note.UnverifiedSigs {
		id := fmt.Sprintf("%s+%08x", s.Name, s.Hash)
		for _, key := range v.logKeys {
			if (s.Name == key.Name() || s.Name == SignerName(key.Name())) && !v.known[id] {
				missing = append(missing, id)
				break
			}
		}
	}
	if len(missing) == 0 {
		return "or it was altered"
	}
	return "or it was altered; it says it is by " + strings.Join(missing, ", ") + ", and that key was not given"
}

// know notes the names under which a key that was given can sign.
func (v *verification) know(origin string, key ed25519.PublicKey) error {
	if v.known == nil {
		v.known = map[string]bool{}
	}
	for _, name := range []string{origin, SignerName(origin)} {
		verifier, err := audit.NewVerifier(name, key)
		if err != nil {
			return err
		}
		v.known[fmt.Sprintf("%s+%08x", name, verifier.KeyHash())] = true
	}
	return nil
}
