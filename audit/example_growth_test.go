package audit_test

import (
	"crypto/ed25519"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

func ExampleProveGrowth() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	signer, _ := audit.NewSigner("shop.example/audit", public, func(m []byte) ([]byte, error) { return ed25519.Sign(key, m), nil })
	verifier, _ := audit.NewVerifier("shop.example/audit", public)

	var stored []tlog.Hash
	hashes := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	checkpoint := func(size uint64) []byte {
		root, _ := tlog.TreeHash(int64(size), hashes)
		signed, _ := audit.SignCheckpoint(audit.Checkpoint{Origin: "shop.example/audit", Size: size, Root: root}, signer)
		return signed
	}
	for i := range 5 {
		more, _ := tlog.StoredHashes(int64(i), []byte{byte(i)}, hashes)
		stored = append(stored, more...)
	}
	growth, err := audit.ProveGrowth(checkpoint(3), checkpoint(5), verifier, hashes)
	if err != nil {
		fmt.Println(err)
		return
	}
	newer, err := growth.Verify(checkpoint(3), verifier)
	fmt.Println(len(growth.Path), newer.Size, err)
	// Output: 4 5 <nil>
}
