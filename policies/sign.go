package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

// GenerateKey makes a key that signs bundles in the name of somebody, such as
// "shop.example/policies": the secret half, which its owner keeps, and the public half,
// which servers are given. Both are one line, in the form of C2SP signed notes
// (Ed25519). random is crypto/rand.Reader outside of tests.
func GenerateKey(random io.Reader, name string) (secret, public string, err error) {
	if !validKeyName(name) {
		return "", "", fmt.Errorf("making key: a name has printable letters and signs, no space and no plus sign: %w", privacy.ErrInvalid)
	}
	secret, public, err = note.GenerateKey(random, name)
	if err != nil {
		return "", "", fmt.Errorf("making key: %w", err)
	}
	return secret + "\n", public + "\n", nil
}

func validKeyName(name string) bool {
	return name != "" && len(name) <= 200 && strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == '+' }) < 0
}

// Signer signs bundles. It does not print.
type Signer struct{ signer note.Signer }

// ParseSigner reads the secret half of a key.
func ParseSigner(secret string) (*Signer, error) {
	signer, err := note.NewSigner(strings.TrimSpace(secret))
	if err != nil || !validKeyName(signer.Name()) {
		// The library's error may repeat a part of the key.
		return nil, fmt.Errorf("reading signing key: it is not one: %w", privacy.ErrInvalid)
	}
	return &Signer{signer}, nil
}

// Name is in whose name it signs.
func (s *Signer) Name() string { return s.signer.Name() }

// String says REDACTED.
func (*Signer) String() string { return privacy.Redacted }

// Format says REDACTED for every verb.
func (*Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (*Signer) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (*Signer) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }

// Sign returns the bundle with a new statement, and the statement. What it was signed
// with before is dropped.
func (s *Signer) Sign(c *Content, sequence uint64, notAfter time.Time) (*Content, Statement, error) {
	statement := Statement{Digest: c.Digest(), Sequence: sequence, NotAfter: notAfter.UTC().Truncate(time.Second)}
	text := FormatStatement(statement)
	if _, err := ParseStatement(text); err != nil {
		return nil, Statement{}, fmt.Errorf("signing bundle: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, s.signer)
	if err != nil {
		return nil, Statement{}, fmt.Errorf("signing bundle: %w", err)
	}
	return &Content{files: c.files, note: signed}, statement, nil
}

// Keys are the public keys of those whose bundles are believed. The zero value believes
// nobody.
type Keys struct{ verifiers []note.Verifier }

// ParseKeys reads public keys, one a line. Empty lines and lines that begin with # say
// nothing. No key at all is an error: it would be a lock without a key.
func ParseKeys(text string) (*Keys, error) {
	keys := &Keys{}
	line := 0
	for l := range strings.Lines(text) {
		line++
		if l = strings.TrimSpace(l); l == "" || l[0] == '#' {
			continue
		}
		verifier, err := note.NewVerifier(l)
		if err != nil || !validKeyName(verifier.Name()) {
			if _, secret := note.NewSigner(l); secret == nil {
				return nil, fmt.Errorf("reading keys: line %d is the secret half of a key: %w", line, privacy.ErrInvalid)
			}
			return nil, fmt.Errorf("reading keys: line %d is not a key: %w", line, privacy.ErrInvalid)
		}
		for _, other := range keys.verifiers {
			if other.Name() == verifier.Name() && other.KeyHash() == verifier.KeyHash() {
				return nil, fmt.Errorf("reading keys: line %d repeats a key: %w", line, privacy.ErrInvalid)
			}
		}
		keys.verifiers = append(keys.verifiers, verifier)
	}
	if len(keys.verifiers) == 0 {
		return nil, fmt.Errorf("reading keys: there is none: %w", privacy.ErrInvalid)
	}
	return keys, nil
}

// Names are in whose names the keys sign.
func (k *Keys) Names() []string {
	names := make([]string, len(k.verifiers))
	for i, v := range k.verifiers {
		names[i] = v.Name()
	}
	return names
}

// Signed is a statement that was verified, and who made it.
type Signed struct {
	Statement
	// By is the name of the key.
	By string
}

// Verify checks that one of the keys signed a statement about the bundle and that the
// statement still holds at the given time. Signatures by others are left alone. The error
// is a [*Refusal].
func (k *Keys) Verify(c *Content, now time.Time) (Signed, error) {
	if c.note == nil {
		return Signed{}, refuse(BundleUnsigned, fmt.Errorf("verifying bundle: there is no %s: %w", StatementFile, privacy.ErrInvalid))
	}
	if !bytes.Contains(c.note, []byte("\n\n")) {
		return Signed{}, refuse(BundleUnsigned, fmt.Errorf("verifying bundle: the statement has no signature: %w", privacy.ErrInvalid))
	}
	n, err := note.Open(bytes.Clone(c.note), note.VerifierList(k.verifiers...))
	if err != nil {
		return Signed{}, refuse(wordFor(err), fmt.Errorf("verifying bundle: %w: %w", err, privacy.ErrInvalid))
	}
	statement, err := ParseStatement(n.Text)
	if err != nil {
		return Signed{}, refuse(BundleMalformed, fmt.Errorf("verifying bundle: %w", err))
	}
	if statement.Digest != c.Digest() {
		return Signed{}, refuse(BundleTampered, fmt.Errorf("verifying bundle: its files are not what was signed: %w", privacy.ErrInvalid))
	}
	if now.After(statement.NotAfter) {
		return Signed{}, refuse(BundleExpired, fmt.Errorf("verifying bundle: it was to be used until %s: %w", statement.NotAfter.Format(time.RFC3339), privacy.ErrInvalid))
	}
	return Signed{Statement: statement, By: n.Sigs[0].Name}, nil
}

// wordFor says what is wrong with a note that does not open.
func wordFor(err error) string {
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return BundleUntrusted
	}
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return BundleTampered
	}
	return BundleMalformed
}
