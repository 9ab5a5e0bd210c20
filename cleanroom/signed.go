package cleanroom

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// The first line of what is signed, so that a signature for one thing is none for another.
const (
	contractHeader = "mahrem contract v1\n"
	templateHeader = "mahrem template v1\n"
)

// SignContract checks a contract and signs it in its owner's name, which must be that of the
// signer.
func SignContract(c *Contract, signer note.Signer) ([]byte, error) {
	if signer.Name() != string(c.Owner) {
		return nil, fmt.Errorf("signing a contract of another owner than the key's: %w", privacy.ErrInvalid)
	}
	canonical, err := c.Canonical()
	if err != nil {
		return nil, err
	}
	return signDocument(contractHeader, canonical, signer)
}

// OpenContract checks a contract's signature, which must be its owner's, and reads it.
// A signature that does not fit is [privacy.ErrDamaged]; a contract that says something
// impossible is a [privacy.FieldError].
func OpenContract(signed []byte, owner note.Verifier) (*SignedContract, error) {
	text, err := audit.OpenNote(signed, owner)
	if err != nil {
		return nil, fmt.Errorf("opening contract: %w", err)
	}
	document, ok := strings.CutPrefix(text, contractHeader)
	if !ok {
		return nil, fmt.Errorf("opening contract: something else was signed: %w", privacy.ErrDamaged)
	}
	c, err := ParseContract([]byte(strings.TrimSuffix(document, "\n")))
	if err != nil {
		return nil, err
	}
	canonical, err := c.Canonical()
	if err != nil {
		return nil, err
	}
	switch {
	case text != contractHeader+string(canonical)+"\n":
		return nil, fmt.Errorf("opening contract: it is not written as it must be signed: %w", privacy.ErrDamaged)
	case string(c.Owner) != owner.Name():
		return nil, fmt.Errorf("opening contract: it is not its owner's: %w", privacy.ErrDamaged)
	}
	return &SignedContract{Contract: c, Note: bytes.Clone(signed), Digest: sha256.Sum256([]byte(text))}, nil
}

// SignTemplate checks a template and signs it in the name of one party.
func SignTemplate(t *Template, signer note.Signer) ([]byte, error) {
	canonical, err := t.Canonical()
	if err == nil {
		err = mayBeSigned(canonical)
	}
	if err != nil {
		return nil, err
	}
	return signDocument(templateHeader, canonical, signer)
}

// CosignTemplate adds a signature to a template that others have signed; it is the signer who
// must have looked at what they sign. A signature of the same key from before is replaced.
func CosignTemplate(signed []byte, signer note.Signer) ([]byte, error) {
	n, _, err := readTemplate(signed)
	if err != nil {
		return nil, err
	}
	cosigned, err := note.Sign(n, signer)
	if err != nil {
		return nil, fmt.Errorf("signing: the key does not sign: %w", privacy.ErrInvalid)
	}
	return cosigned, nil
}

// OpenTemplate checks a template and its signatures: of each party whose verifier is given,
// by its name. Signatures of others count for nothing; there must be a good one at least, and
// one that is of a known party and does not fit spoils all.
func OpenTemplate(signed []byte, parties []note.Verifier) (*SignedTemplate, error) {
	_, t, err := readTemplate(signed)
	if err != nil {
		return nil, err
	}
	n, err := note.Open(bytes.Clone(signed), note.VerifierList(parties...))
	if err != nil {
		return nil, fmt.Errorf("opening template: no signature fits: %w", privacy.ErrDamaged)
	}
	opened := &SignedTemplate{Template: t, Note: bytes.Clone(signed), Digest: sha256.Sum256([]byte(n.Text))}
	for _, signature := range n.Sigs {
		raw, err := base64.StdEncoding.Strict().DecodeString(signature.Base64)
		if err != nil || len(raw) != 4+ed25519.SignatureSize {
			return nil, fmt.Errorf("opening template: a signature is spelled otherwise: %w", privacy.ErrDamaged)
		}
		if !slices.Contains(opened.Signers, PartyID(signature.Name)) {
			opened.Signers = append(opened.Signers, PartyID(signature.Name))
		}
	}
	slices.Sort(opened.Signers)
	return opened, nil
}

// ReadTemplate reads a signed template without looking at its signatures: for whoever is
// about to sign it.
func ReadTemplate(signed []byte) (*Template, error) {
	_, t, err := readTemplate(signed)
	return t, err
}

// readTemplate returns the note with all signatures unverified.
func readTemplate(signed []byte) (*note.Note, *Template, error) {
	_, err := note.Open(bytes.Clone(signed), note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return nil, nil, fmt.Errorf("opening template: this is no signed note: %w", privacy.ErrDamaged)
	}
	n := unverified.Note
	document, ok := strings.CutPrefix(n.Text, templateHeader)
	if !ok {
		return nil, nil, fmt.Errorf("opening template: something else was signed: %w", privacy.ErrDamaged)
	}
	t, err := ParseTemplate([]byte(strings.TrimSuffix(document, "\n")))
	if err != nil {
		return nil, nil, err
	}
	canonical, err := t.Canonical()
	if err != nil {
		return nil, nil, err
	}
	if n.Text != templateHeader+string(canonical)+"\n" {
		return nil, nil, fmt.Errorf("opening template: it is not written as it must be signed: %w", privacy.ErrDamaged)
	}
	return n, t, nil
}

func signDocument(header string, canonical []byte, signer note.Signer) ([]byte, error) {
	signed, err := note.Sign(&note.Note{Text: header + string(canonical) + "\n"}, signer)
	if err != nil {
		// The library's error could repeat a part of the key.
		return nil, fmt.Errorf("signing: the key does not sign: %w", privacy.ErrInvalid)
	}
	return signed, nil
}
