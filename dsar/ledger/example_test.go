package ledger_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/dsar/ledger"
)

func Example() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "erasures.ledger")
	// A house seals with its key directory.
	config := ledger.Config{Seal: func(hash ledger.Hash) ledger.Tag {
		sum := sha256.Sum256(append([]byte("secret"), hash[:]...))
		return ledger.Tag(sum[:16])
	}}
	if err := ledger.Create(path, config); err != nil {
		log.Fatal(err)
	}
	erasures, err := ledger.Open(path, config)
	if err != nil {
		log.Fatal(err)
	}
	defer erasures.Close()
	ctx := context.Background()
	written, err := erasures.Append(ctx, ledger.Record{
		Time: time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC), Kind: ledger.Erased,
		Erasure: [16]byte{1}, Person: ledger.Tag{2}, Suppressed: []ledger.Tag{{3}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("on disk:", written.Sequence)
	err = erasures.Scan(ctx, func(r ledger.Record) error {
		fmt.Println(r.Sequence, r.Time.Format(time.DateOnly), r.Kind, len(r.Suppressed))
		return nil
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// on disk: 1
	// 1 2026-03-29 erased 1
}

func ExampleLedger_Head() {
	dir, err := os.MkdirTemp("", "ledger")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "erasures.ledger")
	config := ledger.Config{Seal: func(hash ledger.Hash) ledger.Tag { return ledger.Tag(hash[:16]) }}
	if err := ledger.Create(path, config); err != nil {
		log.Fatal(err)
	}
	erasures, err := ledger.Open(path, config)
	if err != nil {
		log.Fatal(err)
	}
	defer erasures.Close()
	head, err := erasures.Head(context.Background())
	fmt.Println(head.Sequence, err)
	// Output: 0 <nil>
}
