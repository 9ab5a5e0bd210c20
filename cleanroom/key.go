package cleanroom

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

// GenerateKey makes a party's key: the secret half, which the party keeps, and the public
// half, which goes to those who run the house. Both are one line, in the form of C2SP signed
// notes (Ed25519), in the party's name. random is crypto/rand.Reader outside of tests.
func GenerateKey(random io.Reader, party PartyID) (secret, public string, err error) {
	if !validKeyName(string(party)) {
		return "", "", fmt.Errorf("making key: a party's name has lower-case letters, digits and underscores, at most 40: %w", privacy.ErrInvalid)
	}
	secret, public, err = note.GenerateKey(random, string(party))
	if err != nil {
		return "", "", fmt.Errorf("making key: %w", err)
	}
	return secret + "\n", public + "\n", nil
}

func validKeyName(name string) bool {
	return name != "" && len(name) <= 40 && strings.IndexFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}) < 0
}

// Signer is the secret half of a party's key. It implements [note.Signer] and does not print.
type Signer struct {
	signer note.Signer
	public string
}

var _ note.Signer = (*Signer)(nil)

// ParseSigner reads the secret half of a party's key.
func ParseSigner(secret string) (*Signer, error) {
	secret = strings.TrimSpace(secret)
	signer, err := note.NewSigner(secret)
	if err != nil || !validKeyName(signer.Name()) {
		// The library's error may repeat a part of the key.
		return nil, fmt.Errorf("reading a party's key: it is not one: %w", privacy.ErrInvalid)
	}
	// PRIVATE+KEY+name+hash+ and then the algorithm and the seed, in base64.
	fields := strings.SplitN(secret, "+", 5)
	seed, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, fmt.Errorf("reading a party's key: it is not one: %w", privacy.ErrInvalid)
	}
	public, _ := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	text, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, fmt.Errorf("reading a party's key: %w", err)
	}
	return &Signer{signer, text}, nil
}

// Public is the public half.
func (s *Signer) Public() string { return s.public }

// Party is in whose name it signs.
func (s *Signer) Party() PartyID { return PartyID(s.signer.Name()) }

// Name implements [note.Signer].
func (s *Signer) Name() string { return s.signer.Name() }

// KeyHash implements [note.Signer].
func (s *Signer) KeyHash() uint32 { return s.signer.KeyHash() }

// Sign implements [note.Signer].
func (s *Signer) Sign(message []byte) ([]byte, error) { return s.signer.Sign(message) }

// String says REDACTED.
func (*Signer) String() string { return privacy.Redacted }

// Format says REDACTED for every verb.
func (*Signer) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (*Signer) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (*Signer) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }

// ParseVerifier reads the public half of a party's key, which must be in that party's name:
// otherwise whoever has a key could sign for somebody else.
func ParseVerifier(public string, party PartyID) (note.Verifier, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(public))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the public half of a party's key: it is not one; mahrem room key new writes it into a file beside the secret, which ends in .pub: %w", privacy.ErrInvalid)
	case verifier.Name() != string(party) || !validKeyName(verifier.Name()):
		return nil, fmt.Errorf("reading the public half of a party's key: it is in another name: %w", privacy.ErrInvalid)
	}
	return verifier, nil
}
