package match

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// MinSecret is how many bytes a shared secret has at least.
const MinSecret = 32

type blind struct{ key []byte }

// NewBlind returns the matcher of blind mode: a token is HMAC-SHA256 under a key that is
// derived from a secret that the parties share and the house must never have, for the room
// and the kind of identifier. The error wraps [privacy.ErrInvalid] if the secret has less
// than [MinSecret] bytes.
func NewBlind(secret []byte, room cleanroom.RoomID, kind privacy.IdentifierKind) (Matcher, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("masking: a shared secret has at least %d bytes: %w", MinSecret, privacy.ErrInvalid)
	}
	key, err := hkdf.Key(sha256.New, secret, []byte(room), string(kind), sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving key of room: %w", err)
	}
	return blind{key}, nil
}

// Mode is blind.
func (blind) Mode() cleanroom.Matching { return cleanroom.MatchBlind }

// Seed keys.
func (b blind) Seed(person privacy.Plain) Seed {
	mac := hmac.New(sha256.New, b.key)
	_, _ = mac.Write([]byte(person.RevealPersonalData())) // never fails
	var seed Seed
	mac.Sum(seed[:0])
	return seed
}

// Mask has nothing left to do.
func (blind) Mask(ctx context.Context, people []Seed) ([]Token, error) {
	return same(ctx, people)
}
