package match

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// PairSalt is what PAIR calls Ks: one of the two parties draws it and gives it to the other
// one. The house must not have it.
type PairSalt [32]byte

// Pair masks in pair mode, with the salt that both parties have and a scalar of one's own.
// It is a [Matcher] and a [Remasker].
type Pair struct {
	salt    PairSalt
	scalar  *scalar.Scalar
	inverse *scalar.Scalar
}

var (
	_ Matcher  = (*Pair)(nil)
	_ Remasker = (*Pair)(nil)
)

// NewPairSecret draws a secret scalar from random, which must be cryptographically secure,
// and returns it in the text form that [NewPair] takes: base64 of its 32 bytes, little endian.
func NewPairSecret(random io.Reader) (string, error) {
	var uniform [64]byte
	if _, err := io.ReadFull(random, uniform[:]); err != nil {
		return "", fmt.Errorf("drawing scalar: %w", err)
	}
	secret, err := scalar.NewFromBytesModOrderWide(uniform[:])
	if err != nil {
		return "", fmt.Errorf("drawing scalar: %w", err)
	}
	if secret.Equal(scalar.New()) == 1 {
		return "", fmt.Errorf("drawing scalar: it is zero: %w", privacy.ErrInvalid)
	}
	var encoded [scalar.ScalarSize]byte
	if err := secret.ToBytes(encoded[:]); err != nil {
		return "", fmt.Errorf("drawing scalar: %w", err)
	}
	return base64.StdEncoding.EncodeToString(encoded[:]), nil
}

// NewPair returns the matcher of pair mode. The error wraps [privacy.ErrInvalid] if secret
// is no scalar, or zero.
func NewPair(salt PairSalt, secret string) (*Pair, error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(secret)
	if err != nil {
		return nil, errNoScalar
	}
	own, err := scalar.NewFromCanonicalBytes(decoded)
	if err != nil || own.Equal(scalar.New()) == 1 {
		return nil, errNoScalar
	}
	return &Pair{salt: salt, scalar: own, inverse: scalar.New().Invert(own)}, nil
}

// errNoScalar does not say what was wrong: what was read is a secret.
var errNoScalar = fmt.Errorf("reading secret of pair mode: it is no scalar of ristretto255 in base64: %w", privacy.ErrInvalid)

// Mode is pair.
func (*Pair) Mode() cleanroom.Matching { return cleanroom.MatchPair }

// Seed salts a person's match key, which is the digest as hexadecimal text.
func (p *Pair) Seed(person privacy.Plain) Seed {
	var salted [len(p.salt) + 2*sha256.Size]byte
	copy(salted[:], p.salt[:])
	digest := sha256.Sum256([]byte(person.RevealPersonalData()))
	hex.Encode(salted[len(p.salt):], digest[:])
	return sha256.Sum256(salted[:])
}

// Mask maps each person to the group and multiplies with the secret.
func (p *Pair) Mask(ctx context.Context, people []Seed) ([]Token, error) {
	tokens := make([]Token, len(people))
	err := each(ctx, len(people), func(from, to int) error {
		for i := from; i < to; i++ {
			uniform := sha512.Sum512(people[i][:])
			var element curve.RistrettoPoint
			if _, err := element.SetUniformBytes(uniform[:]); err != nil {
				return fmt.Errorf("mapping a person to the group: %w", err)
			}
			tokens[i] = writeElement(element.Mul(&element, p.scalar))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// Remask multiplies the other party's tokens with the secret, too.
func (p *Pair) Remask(ctx context.Context, tokens []Token) ([]Token, error) {
	return multiply(ctx, p.scalar, tokens)
}

// Unmask takes the secret off again: from tokens that both have masked to those that the
// other party alone has masked. PAIR activates with these.
func (p *Pair) Unmask(ctx context.Context, tokens []Token) ([]Token, error) {
	return multiply(ctx, p.inverse, tokens)
}

func multiply(ctx context.Context, by *scalar.Scalar, tokens []Token) ([]Token, error) {
	out := make([]Token, len(tokens))
	err := each(ctx, len(tokens), func(from, to int) error {
		for i := from; i < to; i++ {
			var element curve.RistrettoPoint
			if err := readElement(&element, tokens[i]); err != nil {
				return err
			}
			out[i] = writeElement(element.Mul(&element, by))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// readElement reads a token as an element (RFC 9496 section 4.3.1). The identity is refused: it
// stays itself under every secret, so that it would match anybody's.
func readElement(element *curve.RistrettoPoint, token Token) error {
	compressed := curve.CompressedRistretto(token)
	if _, err := element.SetCompressed(&compressed); err != nil || element.IsIdentity() {
		return fmt.Errorf("reading a token: it is no element of ristretto255, or the identity: %w", privacy.ErrInvalid)
	}
	return nil
}

// writeElement writes an element as a token (RFC 9496 section 4.3.2).
func writeElement(element *curve.RistrettoPoint) Token {
	var compressed curve.CompressedRistretto
	return Token(*compressed.SetRistrettoPoint(element))
}
