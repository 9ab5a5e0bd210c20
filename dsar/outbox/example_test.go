package outbox_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/vault/keydir"
)

// A message is sealed under a key of its own before it is stored. Its destination is a word
// of the settings and not an address.
func ExampleNew() {
	dir, err := os.MkdirTemp("", "mahrem-example-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := keydir.Create(filepath.Join(dir, "keys"), keydir.Config{}); err != nil {
		panic(err)
	}
	keys, err := keydir.Open(filepath.Join(dir, "keys"), keydir.Config{})
	if err != nil {
		panic(err)
	}
	d, err := outbox.New(keys.Vault(), rand.Reader, outbox.Message{
		Kind: outbox.Webhook, Destination: "person", Topic: "code", Payload: []byte("to whom, and what"), Patience: 10 * time.Minute,
	})
	if err != nil {
		panic(err)
	}
	payload, err := d.Payload(keys.Vault())
	fmt.Println(d.State, d.Destination, len(d.Sealed) > 0, string(payload), err)
	// Output: pending person true to whom, and what <nil>
}

// Pauses double, up to the longest; half of each is left to chance.
func ExampleBackoff_Pause() {
	b := outbox.Backoff{First: time.Second, Longest: time.Minute, Random: func(n int64) int64 { return n - 1 }}
	fmt.Println(b.Pause(1), b.Pause(2), b.Pause(3), b.Pause(20))
	// Output: 1s 2s 4s 1m0s
}
