package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// grown is a log of made-up leaves.
type grown struct {
	hashes   []tlog.Hash
	signer   note.Signer
	verifier note.Verifier
}

func newGrown(t testing.TB, n int, history string) *grown {
	t.Helper()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	g := &grown{}
	var err error
	if g.signer, err = NewSigner("shop.example/audit", public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil }); err != nil {
		t.Fatal(err)
	}
	if g.verifier, err = NewVerifier("shop.example/audit", public); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		hashes, err := tlog.StoredHashes(int64(i), fmt.Appendf(nil, "%s %d", history, i), g)
		if err != nil {
			t.Fatal(err)
		}
		g.hashes = append(g.hashes, hashes...)
	}
	return g
}

func (g *grown) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = g.hashes[index]
	}
	return hashes, nil
}

func (g *grown) checkpoint(t testing.TB, size int) []byte {
	t.Helper()
	root, err := tlog.TreeHash(int64(size), g)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := SignCheckpoint(Checkpoint{Origin: "shop.example/audit", Size: uint64(size), Root: root}, g.signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	one, other := newGrown(t, 70, "one"), newGrown(t, 70, "another")
	for size := 1; size <= 70; size += 1 + size/8 {
		latest := one.checkpoint(t, size)
		for old := 1; old <= size; old++ {
			proof, err := ProveGrowth(one.checkpoint(t, old), latest, one.verifier, one)
			if err != nil {
				t.Fatalf("%d to %d: %v", old, size, err)
			}
			if c, err := proof.Verify(one.checkpoint(t, old), one.verifier); err != nil || c.Size != uint64(size) {
				t.Errorf("%d to %d: %v, %v", old, size, c.Size, err)
			}
			if _, err := proof.Verify(other.checkpoint(t, old), one.verifier); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%d to %d, another history: %v", old, size, err)
			}
			if _, err := ProveGrowth(other.checkpoint(t, old), latest, one.verifier, one); !errors.Is(err, privacy.ErrDamaged) {
				t.Errorf("%d to %d, a proof for another history: %v", old, size, err)
			}
			for i := range proof.Path {
				proof.Path[i][7] ^= 1
				if _, err := proof.Verify(one.checkpoint(t, old), one.verifier); !errors.Is(err, privacy.ErrDamaged) {
					t.Errorf("%d to %d, hash %d changed: %v", old, size, i, err)
				}
				proof.Path[i][7] ^= 1
			}
		}
	}
	if _, err := ProveGrowth(one.checkpoint(t, 70), one.checkpoint(t, 69), one.verifier, one); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a log that shrank: %v", err)
	}
	if _, err := ProveGrowth([]byte("x"), one.checkpoint(t, 69), one.verifier, one); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("no checkpoint: %v", err)
	}
	proof, err := ProveGrowth(one.checkpoint(t, 7), one.checkpoint(t, 9), one.verifier, one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.Verify(one.checkpoint(t, 6), one.verifier); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("by a checkpoint of another size: %v", err)
	}
}
