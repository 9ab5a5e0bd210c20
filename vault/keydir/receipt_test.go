package keydir_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestReceiptKeysetComesOnceAndRotates(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	keys := mustOpen(t, dir)
	if _, err := keys.ReceiptKeyset(); !errors.Is(err, privacy.ErrNotFound) {
		t.Fatalf("before there is one: %v, want ErrNotFound", err)
	}
	if err := keys.RotateReceiptKeyset(); !errors.Is(err, privacy.ErrNotFound) {
		t.Fatalf("rotating before there is one: %v, want ErrNotFound", err)
	}
	var made atomic.Int32
	var group sync.WaitGroup
	for range 8 {
		keys := mustOpen(t, dir) // as many processes would
		group.Go(func() {
			created, err := keys.EnsureReceiptKeyset()
			if err != nil {
				t.Error(err)
			}
			if created {
				made.Add(1)
			}
		})
	}
	group.Wait()
	if made.Load() != 1 {
		t.Errorf("%d of 8 made the keyset, want 1", made.Load())
	}
	first, err := keys.ReceiptKeyset()
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.RotateReceiptKeyset(); err != nil {
		t.Fatal(err)
	}
	second, err := mustOpen(t, dir).ReceiptKeyset()
	if err != nil {
		t.Fatal(err)
	}
	if first.Len() != 1 || second.Len() != 2 {
		t.Errorf("%d keys before and %d after, want 1 and 2", first.Len(), second.Len())
	}
	before, after := first.KeysetInfo().GetPrimaryKeyId(), second.KeysetInfo().GetPrimaryKeyId()
	if before == after || second.KeysetInfo().GetKeyInfo()[0].GetKeyId() != before {
		t.Errorf("the key that signs was %d and is %d; the old one must stay", before, after)
	}
	path := filepath.Join(dir, "receipt.json")
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("receipt.json: %v, %v; want mode 0600", info, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".new-*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(path, []byte(`{"primaryKeyId":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReceiptKeyset(); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a damaged keyset: %v, want ErrDamaged", err)
	}
	// A keyset of another kind signs nothing.
	other, err := os.ReadFile(filepath.Join(dir, "log.json"))
	if err == nil {
		err = os.WriteFile(path, other, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.ReceiptKeyset(); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("the log's keyset in its place: %v, want ErrDamaged", err)
	}
}
