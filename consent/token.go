package consent

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Token is handed out with every change of consent. A query that carries it is
// answered only from a state in which the change is durable.
//
// It names the position of the change's entry in the audit log: a node whose view of
// the log holds more than [Token.Index] entries has seen the change, because both were
// committed in one transaction. It is no secret and proves nothing to anybody.
type Token struct{ index uint64 }

// tokenVersion is the first byte of a token.
const tokenVersion = 1

// NewToken returns the token for the change that the receipt is evidence of.
func NewToken(receipt audit.Receipt) Token { return Token{index: receipt.Index()} }

// Index is the position in the log of the change's entry. A state that includes the
// change comes from a log whose size is greater than Index.
func (t Token) Index() uint64 { return t.index }

// String is the wire form: 12 characters of base64url over a version byte and the
// index, big endian. Callers must treat it as opaque.
func (t Token) String() string {
	var b [9]byte
	b[0] = tokenVersion
	binary.BigEndian.PutUint64(b[1:], t.index)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// MarshalText is String.
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// ParseToken reads the wire form, strictly. The error wraps [privacy.ErrInvalid].
func ParseToken(s string) (Token, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 9 || b[0] != tokenVersion {
		return Token{}, fmt.Errorf("parsing consent token: %w", privacy.ErrInvalid)
	}
	t := Token{index: binary.BigEndian.Uint64(b[1:])}
	if t.String() != s {
		return Token{}, fmt.Errorf("parsing consent token: %w", privacy.ErrInvalid)
	}
	return t, nil
}
