package cleanroom

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// The checks of what is filed and of what is brought.
const (
	// CheckSignature: it is signed with the key of whoever must sign it.
	CheckSignature = "room_signature"
	// CheckFiling: it has the form of its kind, and goes on from what is there.
	CheckFiling = "room_filing"
)

// logged is the error about a contract that the policies refuse: its entry is in the log.
type logged struct{ error }

func (l logged) Unwrap() error { return l.error }

// leave writes down that what was signed was not filed, and returns why, which is err. A refusal
// that has its entry gets no second one, and a house at fault has refused nothing.
func (r *Register) leave(ctx context.Context, event audit.Event, digest func(signed []byte) audit.Digest, signed []byte, err error) error {
	_, denied := errors.AsType[*Denied](err)
	_, before := errors.AsType[logged](err)
	check := ""
	switch {
	case err == nil || denied || before:
		return err
	case errors.Is(err, ErrSignature):
		check = CheckSignature
	case errors.Is(err, privacy.ErrDamaged): // what is filed already does not read
		return err
	case errors.Is(err, privacy.ErrNotFound), errors.Is(err, privacy.ErrForbidden): // who has signed takes no part, or who files has not signed
		check = CheckSigner
	case errors.Is(err, privacy.ErrInvalid), errors.Is(err, privacy.ErrConflict):
		check = CheckFiling
	default:
		return err
	}
	event.Kind, event.Outcome, event.Checks, event.List = audit.RoomDenied, audit.Denied, []string{check}, digest(signed)
	if _, err := r.config.Log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return err
}

// contractDigest is what an entry names a contract by, whoever has signed it; zero if it is none.
func contractDigest(signed []byte) (d audit.Digest) {
	if _, err := ContractOwner(signed); err != nil {
		return d
	}
	_, err := note.Open(bytes.Clone(signed), note.VerifierList())
	if unverified, ok := errors.AsType[*note.UnverifiedNoteError](err); ok && strings.HasPrefix(unverified.Note.Text, contractHeader) {
		d = sha256.Sum256([]byte(unverified.Note.Text))
	}
	return d
}

// templateDigest is what an entry names a template by, whoever has signed it; zero if it is none.
func templateDigest(signed []byte) (d audit.Digest) {
	if n, _, err := readTemplate(signed); err == nil {
		d = sha256.Sum256([]byte(n.Text))
	}
	return d
}
