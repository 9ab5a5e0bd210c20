package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// smallLog makes a log of n entries under a key of its own and the proof of one of them.
func smallLog(t *testing.T, n int, index uint64) (audit.Inclusion, note.Verifier) {
	t.Helper()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now:    func() time.Time { return time.UnixMilli(1795325000123) },
		Random: zeros{},
		Actor:  func(privacy.Principal) [16]byte { return [16]byte{7} },
	})
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	verifier, err := audit.NewVerifier("shop.example/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := audit.NewSigner("shop.example/audit", public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	var hashes storedHashes
	var leaves [][]byte
	for i := range n {
		entry, err := encoder.NewEntry(audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done, List: audit.Digest{byte(i + 1)}})
		if err != nil {
			t.Fatal(err)
		}
		more, err := tlog.StoredHashesForRecordHash(int64(i), audit.LeafHash(entry.Leaf()), hashes)
		if err != nil {
			t.Fatal(err)
		}
		hashes, leaves = append(hashes, more...), append(leaves, entry.Leaf())
	}
	root, err := tlog.TreeHash(int64(n), hashes)
	if err != nil {
		t.Fatal(err)
	}
	path, err := tlog.ProveRecord(int64(n), int64(index), hashes)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.SignCheckpoint(audit.Checkpoint{Origin: "shop.example/audit", Size: uint64(n), Root: root}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Inclusion{Index: index, Leaf: leaves[index], Path: path, Checkpoint: signed}, verifier
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type storedHashes []tlog.Hash

func (s storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, s[i])
	}
	return out, nil
}

func TestInclusion(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 7, 8, 9} {
		for index := range uint64(n) {
			proof, verifier := smallLog(t, n, index)
			entry, err := proof.Verify(verifier)
			if err != nil || entry.Kind != audit.ServerStarted {
				t.Errorf("entry %d of %d: %v", index, n, err)
			}
		}
	}
	good, verifier := smallLog(t, 9, 4)
	other, _ := smallLog(t, 9, 5)
	shorter, _ := smallLog(t, 4, 3)
	for name, spoil := range map[string]func(*audit.Inclusion){
		"another leaf":     func(i *audit.Inclusion) { i.Leaf = other.Leaf },
		"another index":    func(i *audit.Inclusion) { i.Index++ },
		"index behind":     func(i *audit.Inclusion) { i.Index = 9 },
		"huge index":       func(i *audit.Inclusion) { i.Index = 1 << 63 },
		"path cut":         func(i *audit.Inclusion) { i.Path = i.Path[1:] },
		"path longer":      func(i *audit.Inclusion) { i.Path = append(slices.Clone(i.Path), tlog.Hash{}) },
		"path altered":     func(i *audit.Inclusion) { i.Path = slices.Clone(i.Path); i.Path[0][3] ^= 1 },
		"no path":          func(i *audit.Inclusion) { i.Path = nil },
		"older checkpoint": func(i *audit.Inclusion) { i.Checkpoint = shorter.Checkpoint },
		"altered checkpoint": func(i *audit.Inclusion) {
			i.Checkpoint = bytes.Replace(i.Checkpoint, []byte("\n9\n"), []byte("\n8\n"), 1)
		},
	} {
		bad := good
		spoil(&bad)
		if _, err := bad.Verify(verifier); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}
