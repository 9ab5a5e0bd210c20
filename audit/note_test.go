package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestOpenNote flips every bit: the last character of base64 has bits that mean nothing.
func TestOpenNote(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32))
	public := key.Public().(ed25519.PublicKey)
	verifier, err := audit.NewVerifier("shop.example/log", public)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(name string) note.Signer {
		signer, err := audit.NewSigner(name, public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	signed, err := note.Sign(&note.Note{Text: "what was done\n"}, sign("shop.example/log"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := audit.OpenNote(signed, verifier); err != nil || text != "what was done\n" {
		t.Fatalf("%q, %v", text, err)
	}
	for i := range signed {
		for bit := range 8 {
			changed := bytes.Clone(signed)
			changed[i] ^= 1 << bit
			if _, err := audit.OpenNote(changed, verifier); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("bit %d of byte %d changed: %v", bit, i, err)
			}
		}
	}
	// The spare bits themselves, whatever character they make.
	last := bytes.LastIndexByte(signed, '=') - 1
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		changed := bytes.Clone(signed)
		changed[last] = c
		if _, err := audit.OpenNote(changed, verifier); (err == nil) != (c == signed[last]) {
			t.Errorf("last character %c: %v", c, err)
		}
	}
	for name, signers := range map[string][]note.Signer{
		"somebody else": {sign("other.example/log")}, "two": {sign("shop.example/log"), sign("other.example/log")},
	} {
		other, err := note.Sign(&note.Note{Text: "what was done\n"}, signers...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenNote(other, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("signed by %s: %v", name, err)
		}
	}
}
