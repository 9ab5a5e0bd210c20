package audit

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/privacy"
)

func hashText(v note.Verifier) string { return fmt.Sprintf("%08x", v.KeyHash()) }

func base64Key(seed []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte{1}, seed...))
}

func TestParseCheckpointIsStrict(t *testing.T) {
	t.Parallel()
	good := FormatCheckpoint(Checkpoint{Origin: "shop.example/audit", Size: 12, Root: [32]byte{1}})
	if _, err := ParseCheckpoint(good); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty":            "",
		"no last newline":  strings.TrimSuffix(good, "\n"),
		"extension line":   good + "more\n",
		"no origin":        strings.Replace(good, "shop.example/audit", "", 1),
		"leading zero":     strings.Replace(good, "\n12\n", "\n012\n", 1),
		"plus sign":        strings.Replace(good, "\n12\n", "\n+12\n", 1),
		"negative":         strings.Replace(good, "\n12\n", "\n-12\n", 1),
		"too large":        strings.Replace(good, "\n12\n", "\n9223372036854775808\n", 1),
		"short root":       strings.Replace(good, "AAAA", "", 1),
		"spare bits":       strings.Replace(good, "AAA=", "AAB=", 1),
		"carriage return":  strings.Replace(good, "\n12\n", "\r\n12\n", 1) + "\r",
		"missing root":     "shop.example/audit\n12\n\n",
		"trailing garbage": good + "x",
	} {
		if _, err := ParseCheckpoint(text); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestOpenCheckpointRefusesOthers(t *testing.T) {
	t.Parallel()
	ours := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	theirs := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	sign := func(origin, name string, key ed25519.PrivateKey) []byte {
		signer, err := NewSigner(name, key.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
		if err != nil {
			t.Fatal(err)
		}
		signed, err := SignCheckpoint(Checkpoint{Origin: origin, Size: 3}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	verifier, err := NewVerifier("a.example/audit", ours.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	good := sign("a.example/audit", "a.example/audit", ours)
	if c, err := OpenCheckpoint(good, verifier); err != nil || c.Size != 3 {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, signed := range map[string][]byte{
		"other key":          sign("a.example/audit", "a.example/audit", theirs),
		"other name":         sign("a.example/audit", "b.example/audit", ours),
		"origin not the key": sign("b.example/audit", "a.example/audit", ours),
		"altered size":       bytes.Replace(good, []byte("\n3\n"), []byte("\n4\n"), 1),
		"no signature":       []byte(FormatCheckpoint(Checkpoint{Origin: "a.example/audit", Size: 3})),
		"nothing":            nil,
	} {
		if _, err := OpenCheckpoint(signed, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(FormatCheckpoint(Checkpoint{Origin: "shop.example/audit", Size: 12, Root: [32]byte{1}}))
	f.Add("a\n0\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := ParseCheckpoint(text); err == nil && FormatCheckpoint(c) != text {
			t.Errorf("%q reads as %+v, which is written differently", text, c)
		}
	})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestOpenCheckpointHasOneSpelling: base64 has several spellings of one signature, and only
// the one that it is written with opens.
func TestOpenCheckpointHasOneSpelling(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	signer, err := NewSigner("shop.example/audit", public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier("shop.example/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: "shop.example/audit", Size: 5}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCheckpoint(signed, verifier); err != nil {
		t.Fatal(err)
	}
	at := len(signed) - len("=\n") - 1
	for spare := byte(1); spare <= 3; spare++ {
		other := bytes.Clone(signed)
		other[at] += spare // two bits of the last letter mean nothing
		if _, err := note.Open(bytes.Clone(other), note.VerifierList(verifier)); err != nil {
			t.Fatalf("the spelling does not decode to the same: %v", err)
		}
		if _, err := OpenCheckpoint(other, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%d: got %v", spare, err)
		}
	}
}
