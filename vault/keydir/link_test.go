package keydir_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// TestLinksComeWhenTheyAreNeeded: a directory from before has no such key, one process of
// many makes it, and what one seals the other opens.
func TestLinksComeWhenTheyAreNeeded(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	open := func() *keydir.Keys {
		keys, err := keydir.Open(dir, keydir.Config{})
		if err != nil {
			t.Fatal(err)
		}
		return keys
	}
	if _, err := open().Links(); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("before there is a key: %v", err)
	}
	var made atomic.Int64
	var processes sync.WaitGroup
	for range 8 {
		keys := open()
		processes.Go(func() {
			created, err := keys.EnsureLinks()
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	processes.Wait()
	if made.Load() != 1 {
		t.Errorf("%d made the key", made.Load())
	}
	one, err := open().Links()
	if err != nil {
		t.Fatal(err)
	}
	other, err := open().Links()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := one.Encrypt([]byte("link"), []byte("v1"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := other.Decrypt(sealed, []byte("v1")); err != nil || string(text) != "link" {
		t.Errorf("opened %q, %v", text, err)
	}
	path := filepath.Join(dir, "link.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open().Links(); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a file that is no key: %v", err)
	}
}
