package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func ExampleEncoder_NewEntry() {
	encoder, err := audit.NewEncoder(audit.EncoderConfig{
		Now:    func() time.Time { return time.UnixMilli(1795325000123) },
		Random: bytes.NewReader(make([]byte, 16)), // outside examples: leave it out
		Actor:  func(privacy.Principal) [16]byte { return [16]byte{7} },
	})
	if err != nil {
		log.Fatal(err)
	}
	entry, err := encoder.NewEntry(audit.Event{
		Kind: audit.ConsentWithdrawn, Outcome: audit.Done, Purpose: "newsletter", Channel: "email",
		Principal: privacy.Principal{ID: "dana", Role: privacy.RoleDPO},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", entry.Leaf())
	// Output:
	// {"v":1,"id":"AAAAAAAAAAAAAAAAAAAAAA","t":1795325000123,"k":"consent.withdrawn","d":"done","role":"dpo","a":"BwAAAAAAAAAAAAAAAAAAAA","p":"newsletter","ch":"email"}
}

func ExampleSignCheckpoint() {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	signer, err := audit.NewSigner("shop.example/audit", public, func(message []byte) ([]byte, error) {
		return ed25519.Sign(key, message), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	var edge audit.Edge
	edge.Append(audit.LeafHash([]byte("an entry")), nil)
	signed, err := audit.SignCheckpoint(audit.Checkpoint{
		Origin: "shop.example/audit", Size: edge.Size(), Root: edge.Root(),
	}, signer)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := audit.NewVerifier("shop.example/audit", public)
	if err != nil {
		log.Fatal(err)
	}
	checkpoint, err := audit.OpenCheckpoint(signed, verifier)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(checkpoint.Origin, checkpoint.Size)
	// Output: shop.example/audit 1
}

func ExampleParseProof() {
	file, err := os.ReadFile("testdata/entry-4-of-9.tlog-proof")
	if err != nil {
		panic(err)
	}
	proof, err := audit.ParseProof(file)
	if err != nil {
		panic(err)
	}
	// The key comes from the operator, once, and by a way that you trust.
	origin, key, err := audit.ParseKey("shop.example/audit+fcf6ac89+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
	if err != nil {
		panic(err)
	}
	verifier, err := audit.NewVerifier(origin, key)
	if err != nil {
		panic(err)
	}
	entry, err := proof.Verify(verifier)
	fmt.Println(proof.Index, entry.Kind, err)
	// Output: 4 server.started <nil>
}
