package keydir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

// TestRoomsComeWhenTheyAreNeeded: a directory from before has no such key, one process of
// many makes it, and it stays the same.
func TestRoomsComeWhenTheyAreNeeded(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	if _, err := mustOpen(t, dir).Rooms(); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("before there is a key: %v", err)
	}
	var made atomic.Int64
	var processes sync.WaitGroup
	for range 8 {
		keys := mustOpen(t, dir)
		processes.Go(func() {
			created, err := keys.EnsureRooms()
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
	var outputs [2][]byte
	for i := range outputs {
		set, err := mustOpen(t, dir).Rooms()
		if err != nil {
			t.Fatal(err)
		}
		if outputs[i], err = set.ComputePrimaryPRF([]byte("somebody"), 32); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		t.Error("the key changed")
	}
	path := filepath.Join(dir, "room.json")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info, err)
	}
	index, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"no key": []byte("{}"), "another kind": index} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := mustOpen(t, dir).Rooms(); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("a file with %s: %v", name, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := keydir.Open(dir, keydir.Config{}); err != nil {
		t.Errorf("opening without it: %v", err)
	}
}
