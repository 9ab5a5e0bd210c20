package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
)

func ExamplePolicy_Check() {
	// The log and one witness, with keys that everybody can make.
	logKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	witnessKey := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	signer, err := audit.NewSigner("shop.example/audit", logKey.Public().(ed25519.PublicKey), func(m []byte) ([]byte, error) {
		return ed25519.Sign(logKey, m), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	checkpoint := audit.Checkpoint{Origin: "shop.example/audit", Size: 5}
	signed, err := audit.SignCheckpoint(checkpoint, signer)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := witness.NewVerifier("auditor.example", witnessKey.Public().(ed25519.PublicKey))
	if err != nil {
		log.Fatal(err)
	}
	key, err := audit.FormatKey("shop.example/audit", logKey.Public().(ed25519.PublicKey))
	if err != nil {
		log.Fatal(err)
	}
	policy, err := witness.ParsePolicy([]byte("log " + key + "\nwitness auditor " + verifier.String() + "\nquorum auditor\n"))
	if err != nil {
		log.Fatal(err)
	}
	cosigned, err := policy.Check(signed)
	fmt.Println(cosigned.Checkpoint.Size, cosigned.Quorum, err)

	const seconds = 1_795_325_000
	raw := binary.BigEndian.AppendUint32(nil, verifier.KeyHash())
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, ed25519.Sign(witnessKey, witness.Message(seconds, []byte(audit.FormatCheckpoint(checkpoint))))...)
	signed = witness.Attach(signed, "— auditor.example "+base64.StdEncoding.EncodeToString(raw))
	cosigned, err = policy.Check(signed)
	fmt.Println(cosigned.Checkpoint.Size, cosigned.Quorum, cosigned.At, err)
	fmt.Println(verifier)
	// Output:
	// 5 false <nil>
	// 5 true 2026-11-22 05:23:20 +0000 UTC <nil>
	// auditor.example+a6ff3b2a+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU
}
