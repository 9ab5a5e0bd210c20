package bundle

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func exampleManifest() Manifest {
	return Manifest{
		Origin: "shop.example/audit", Range: Range{Begin: 1 << 20, End: 1<<20 + 300, Size: 1<<20 + 300}, Root: [32]byte{7}, Checkpoints: 3,
		Files: []File{{Path: "checkpoint", Size: 200, SHA256: [32]byte{1}}, {Path: "checkpoints/000", Size: 0, SHA256: [32]byte{2}}},
	}
}

func TestManifest(t *testing.T) {
	t.Parallel()
	want := exampleManifest()
	const text = `mahrem.audit-bundle/v1
origin shop.example/audit
entries 1048576 1048876
checkpoint 1048876 BwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
checkpoints 3
file 0100000000000000000000000000000000000000000000000000000000000000 200 checkpoint
file 0200000000000000000000000000000000000000000000000000000000000000 0 checkpoints/000
`
	if got := want.Format(); got != text {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
	if got, err := ParseManifest(text); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	for name, wrong := range map[string]string{
		"nothing":       "",
		"version":       strings.Replace(text, "/v1", "/v2", 1),
		"origin":        strings.Replace(text, "origin shop.example/audit\n", "", 1),
		"range":         strings.Replace(text, "entries 1048576", "entries 1048577", 1),
		"empty range":   strings.Replace(text, "entries 1048576", "entries 1048876", 1),
		"end":           strings.Replace(text, "1048876\ncheck", "1048877\ncheck", 1),
		"leading zero":  strings.Replace(text, "checkpoints 3", "checkpoints 03", 1),
		"root":          strings.Replace(text, "BwAA", "BwA", 1),
		"order":         strings.Replace(text, " checkpoint\n", " checkpoints/001\n", 1),
		"twice":         strings.Replace(text, " checkpoints/000\n", " checkpoint\n", 1),
		"outside":       strings.Replace(text, " checkpoints/000\n", " ../checkpoints\n", 1),
		"hidden":        strings.Replace(text, " checkpoints/000\n", " checkpoints/.000\n", 1),
		"in the tree":   strings.Replace(text, " checkpoints/000\n", " tile/0/000\n", 1),
		"capitals":      strings.Replace(text, "file 01000000000000000000000000000000000000000000000000000000000000", "file 01000000000000000000000000000000000000000000000000000000000000"+"A", 1),
		"more":          text + "\n",
		"cut":           text[:len(text)-1],
		"another line":  text + "note 1 2 3\n",
		"carriage":      strings.ReplaceAll(text, "\n", "\r\n"),
		"space":         strings.Replace(text, "origin shop", "origin  shop", 1),
		"negative size": strings.Replace(text, " 200 ", " -1 ", 1),
	} {
		if _, err := ParseManifest(wrong); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}

// TestOpenManifest: a checkpoint's key under its own name signs no manifest, and every byte counts.
func TestOpenManifest(t *testing.T) {
	t.Parallel()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	public := key.Public().(ed25519.PublicKey)
	sign := func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil }
	signer, err := audit.NewSigner(SignerName("shop.example/audit"), public, sign)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(SignerName("shop.example/audit"), public)
	if err != nil {
		t.Fatal(err)
	}
	m := exampleManifest()
	signed, err := m.Sign(signer)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := OpenManifest(signed, verifier); err != nil || !cmp.Equal(got, m) {
		t.Fatalf("%v %s", err, cmp.Diff(m, got))
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if _, err := OpenManifest(changed, verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	other, err := audit.NewVerifier("shop.example/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(signed, other); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("under the name of the log: %v", err)
	}
	m.Origin = "other.example/audit"
	if signed, err = m.Sign(signer); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManifest(signed, verifier); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("manifest of another log: %v", err)
	}
}

func FuzzParseManifest(f *testing.F) {
	m := exampleManifest()
	text := m.Format()
	f.Add(text)
	f.Add(text[:len(text)/2])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseManifest(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			return
		}
		if m.Format() != text {
			t.Fatalf("%q was read as %q", text, m.Format())
		}
	})
}
