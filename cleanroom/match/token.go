package match

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/oasisprotocol/curve25519-voi/curve"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Size is how many bytes tokens and tags have, in every mode.
const Size = 32

// Token stands for a person on the way from a party to the house. In operator mode it is the
// digest of an identifier, which is personal data, so it prints as REDACTED.
type Token [Size]byte

// Tag stands for a person within one room and epoch in the house's database.
type Tag [Size]byte

// prefixes tell the text forms of modes apart; PAIR has none.
var prefixes = map[cleanroom.Matching]string{
	cleanroom.MatchOperator: "01:sha256:",
	cleanroom.MatchBlind:    "02:hmac:",
	cleanroom.MatchPair:     "",
	cleanroom.MatchOPRF:     "04:oprf:",
}

// Text returns the text form of a token in a mode's files: a prefix and standard base64.
func (t Token) Text(mode cleanroom.Matching) string {
	return prefixes[mode] + base64.StdEncoding.EncodeToString(t[:])
}

// ParseToken reads what [Token.Text] writes for the same mode, and nothing else. In pair
// mode the bytes must be an element of the group other than the identity. The error wraps
// [privacy.ErrInvalid] and does not repeat the text.
func ParseToken(mode cleanroom.Matching, text string) (Token, error) {
	prefix, known := prefixes[mode]
	if !known {
		return Token{}, fmt.Errorf("reading a token of unknown mode: %w", privacy.ErrInvalid)
	}
	rest, found := strings.CutPrefix(text, prefix)
	if !found || len(rest) != base64.StdEncoding.EncodedLen(Size) {
		return Token{}, fmt.Errorf("reading a token: it does not have the form of mode %s: %w", mode, privacy.ErrInvalid)
	}
	var token Token
	decoded, err := base64.StdEncoding.Strict().AppendDecode(nil, []byte(rest))
	if err != nil || copy(token[:], decoded) != Size || len(decoded) != Size {
		return Token{}, fmt.Errorf("reading a token: it is not base64 of %d bytes: %w", Size, privacy.ErrInvalid)
	}
	if mode == cleanroom.MatchPair {
		var element curve.RistrettoPoint
		if err := readElement(&element, token); err != nil {
			return Token{}, err
		}
	}
	return token, nil
}

// Format says REDACTED for every verb and flag.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// String says REDACTED.
func (Token) String() string { return privacy.Redacted }

// LogValue says REDACTED.
func (Token) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalText says REDACTED: tokens go into files by [Token.Text] alone.
func (Token) MarshalText() ([]byte, error) { return []byte(privacy.Redacted), nil }

// Format says REDACTED for every verb and flag.
func (Tag) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// String says REDACTED.
func (Tag) String() string { return privacy.Redacted }

// LogValue says REDACTED.
func (Tag) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalText says REDACTED.
func (Tag) MarshalText() ([]byte, error) { return []byte(privacy.Redacted), nil }

// Format says REDACTED for every verb and flag.
func (Seed) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// String says REDACTED.
func (Seed) String() string { return privacy.Redacted }

// LogValue says REDACTED.
func (Seed) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalText says REDACTED.
func (Seed) MarshalText() ([]byte, error) { return []byte(privacy.Redacted), nil }
