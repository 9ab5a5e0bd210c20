package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

// OpenNote checks a C2SP signed note that has one signature, by verifier, and returns its
// text. The note must have the one spelling that note.Sign writes: base64 has several for
// the same signature, and a document of which some byte may be changed unseen proves less
// than it seems to. Errors wrap [privacy.ErrDamaged].
//
// Checkpoints are not opened by it: witnesses add their own signatures to those.
func OpenNote(signed []byte, verifier note.Verifier) (string, error) {
	damaged := func(what string) (string, error) {
		return "", fmt.Errorf("opening signed note: %s: %w", what, privacy.ErrDamaged)
	}
	n, err := note.Open(bytes.Clone(signed), note.VerifierList(verifier))
	if err != nil {
		var unverified *note.UnverifiedNoteError
		if errors.As(err, &unverified) {
			return damaged("it is signed by somebody else")
		}
		return damaged("the signature does not fit")
	}
	if len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return damaged("it has another signature")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	if err != nil || len(raw) != 4+ed25519.SignatureSize {
		return damaged("the signature is spelled otherwise")
	}
	again, err := note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
	if err != nil || !bytes.Equal(again, signed) {
		return damaged("it is spelled otherwise")
	}
	return n.Text, nil
}
