package witness_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

const origin = "shop.example/audit"

// house is a log that is signed, with all its hashes in memory.
type house struct {
	t      testing.TB
	signer note.Signer
	key    note.Verifier
	hashes []tlog.Hash
	size   int64
}

func newHouse(t testing.TB) *house {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t}
	h.signer, err = audit.NewSigner(origin, public, func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	if h.key, err = audit.NewVerifier(origin, public); err != nil {
		t.Fatal(err)
	}
	return h
}

// ReadHashes implements [tlog.HashReader].
func (h *house) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		out[i] = h.hashes[index]
	}
	return out, nil
}

// grow adds entries up to size, whose content is what and their index.
func (h *house) grow(size int64, what string) {
	h.t.Helper()
	for ; h.size < size; h.size++ {
		more, err := tlog.StoredHashes(h.size, fmt.Appendf(nil, "%s %d", what, h.size), h)
		if err != nil {
			h.t.Fatal(err)
		}
		h.hashes = append(h.hashes, more...)
	}
}

func (h *house) checkpoint(size int64) audit.Checkpoint {
	h.t.Helper()
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		h.t.Fatal(err)
	}
	return audit.Checkpoint{Origin: origin, Size: uint64(size), Root: root}
}

func (h *house) sign(size int64) []byte {
	h.t.Helper()
	signed, err := audit.SignCheckpoint(h.checkpoint(size), h.signer)
	if err != nil {
		h.t.Fatal(err)
	}
	return signed
}

func (h *house) prove(_ context.Context, old, size uint64) ([]tlog.Hash, error) {
	return tlog.ProveTree(int64(size), int64(old), h)
}
