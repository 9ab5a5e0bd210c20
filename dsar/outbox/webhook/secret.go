package webhook

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// secretPrefix begins a secret as Standard Webhooks writes it.
const secretPrefix = "whsec_"

// The bounds of a secret in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// sealInfo derives the key of the sealed part; the signature uses the secret itself.
const sealInfo = "mahrem/webhook/v1/seal"

// Secret is what both sides share. It prints as REDACTED.
type Secret struct{ bytes []byte }

// ParseSecret reads "whsec_" and 24 to 64 bytes in base64. The error wraps
// [privacy.ErrInvalid] and does not repeat the text.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), secretPrefix)
	if !ok {
		return Secret{}, fmt.Errorf("reading webhook secret: it must begin with %s: %w", secretPrefix, privacy.ErrInvalid)
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(decoded) < minSecret || len(decoded) > maxSecret {
		return Secret{}, fmt.Errorf("reading webhook secret: it must hold %d to %d bytes in base64: %w", minSecret, maxSecret, privacy.ErrInvalid)
	}
	return Secret{decoded}, nil
}

// NewSecret draws a secret of 32 bytes and returns it as text, for both sides.
func NewSecret(random io.Reader) (privacy.Plain, error) {
	var raw [32]byte
	if _, err := io.ReadFull(random, raw[:]); err != nil {
		return privacy.Plain{}, fmt.Errorf("drawing webhook secret: %w", err)
	}
	return privacy.NewPlain(secretPrefix + base64.StdEncoding.EncodeToString(raw[:])), nil
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return len(s.bytes) == 0 }

// signature is the value of the header webhook-signature.
func (s Secret) signature(id string, timestamp int64, body []byte) string {
	mac := hmac.New(sha256.New, s.bytes)
	mac.Write([]byte(id + "." + strconv.FormatInt(timestamp, 10) + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func (s Secret) aead() (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, s.bytes, nil, sealInfo, 32)
	if err != nil {
		return nil, fmt.Errorf("deriving webhook key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("deriving webhook key: %w", err)
	}
	return cipher.NewGCM(block)
}

// seal returns nonce ‖ AES-256-GCM, with the delivery's id as associated data.
func (s Secret) seal(random io.Reader, id string, plaintext []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plaintext)+aead.Overhead())
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("drawing nonce: %w", err)
	}
	return aead.Seal(nonce, nonce, plaintext, []byte(id)), nil
}

func (s Secret) open(id string, sealed []byte) ([]byte, error) {
	aead, err := s.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("opening sealed part of a webhook: %w", privacy.ErrDamaged)
	}
	plaintext, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(id))
	if err != nil {
		return nil, fmt.Errorf("opening sealed part of a webhook: %w", privacy.ErrDamaged)
	}
	return plaintext, nil
}

// String says REDACTED.
func (Secret) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
