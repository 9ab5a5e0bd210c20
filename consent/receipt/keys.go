package receipt

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/tink-crypto/tink-go/v2/jwt"
	"github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/mahrem/mahrem/privacy"
)

// maxKeys bounds a key set, MaxKeysSize its file.
const (
	maxKeys     = 64
	MaxKeysSize = 1 << 17
)

// PublishKeys returns the public keys of a keyset as a JWK set (RFC 7517), with the issuer
// in a member of its own, so that one file is all that a check needs. No keyset makes an
// empty set.
func PublishKeys(issuer string, handle *keyset.Handle) ([]byte, error) {
	set := struct {
		Issuer string            `json:"issuer"`
		Keys   []json.RawMessage `json:"keys"`
	}{issuer, []json.RawMessage{}}
	if handle != nil {
		public, err := handle.Public()
		if err != nil {
			return nil, fmt.Errorf("publishing receipt keys: %w", err)
		}
		text, err := jwt.JWKSetFromPublicKeysetHandle(public)
		if err != nil {
			return nil, fmt.Errorf("publishing receipt keys: %w", err)
		}
		var made struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal(text, &made); err != nil {
			return nil, fmt.Errorf("publishing receipt keys: %w", err)
		}
		set.Keys = made.Keys
	}
	text, err := json.Marshal(set)
	if err != nil {
		return nil, fmt.Errorf("publishing receipt keys: %w", err)
	}
	return append(text, '\n'), nil
}

// Keys are the public keys of one issuer, by which receipts are checked.
type Keys struct {
	issuer string
	keys   map[string]jwt.Verifier
}

// Issuer is whose keys they are.
func (k *Keys) Issuer() string { return k.issuer }

// kid is how a key is named.
var kid = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ParseKeys reads a JWK set. issuer is whom receipts must be by; empty means the one that
// the set itself names. Keys of other kinds are left out; the error wraps
// [privacy.ErrInvalid] if no key is left, if two have one name, or if there is no issuer.
func ParseKeys(set []byte, issuer string) (*Keys, error) {
	var read struct {
		Issuer string            `json:"issuer"`
		Keys   []json.RawMessage `json:"keys"`
	}
	if len(set) > MaxKeysSize || json.Unmarshal(set, &read) != nil || len(read.Keys) > maxKeys {
		return nil, badKeys("it is not a JWK set")
	}
	k := &Keys{issuer: issuer, keys: map[string]jwt.Verifier{}}
	if issuer == "" {
		k.issuer = read.Issuer
	}
	if k.issuer == "" {
		return nil, badKeys("it does not say whose keys they are, so the issuer has to be named")
	}
	for _, text := range read.Keys {
		var key struct {
			Kind      string  `json:"kty"`
			Curve     string  `json:"crv"`
			Algorithm string  `json:"alg"`
			Use       string  `json:"use"`
			ID        string  `json:"kid"`
			Secret    *string `json:"d"`
		}
		if json.Unmarshal(text, &key) != nil {
			return nil, badKeys("a key in it is not one")
		}
		if key.Secret != nil {
			return nil, badKeys("it has a private key in it: whoever has seen the file can sign")
		}
		if key.Kind != "EC" || key.Curve != "P-256" || key.Algorithm != Algorithm || key.Use != "" && key.Use != "sig" || !kid.MatchString(key.ID) {
			continue
		}
		if k.keys[key.ID] != nil {
			return nil, badKeys("two keys in it have one name")
		}
		verifier, err := verifierOf(text)
		if err != nil {
			return nil, badKeys("a key in it is damaged")
		}
		k.keys[key.ID] = verifier
	}
	if len(k.keys) == 0 {
		return nil, badKeys("no key in it is for receipts (EC, P-256, ES256, with a kid)")
	}
	return k, nil
}

func verifierOf(key json.RawMessage) (jwt.Verifier, error) {
	one, err := json.Marshal(map[string]any{"keys": []json.RawMessage{key}})
	if err != nil {
		return nil, err
	}
	handle, err := jwt.JWKSetToPublicKeysetHandle(one)
	if err != nil {
		return nil, err
	}
	return jwt.NewVerifier(handle)
}

func badKeys(why string) error {
	return fmt.Errorf("reading key set: %s: %w", why, privacy.ErrInvalid)
}
