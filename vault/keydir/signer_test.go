package keydir_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault/keydir"
)

func TestLogSigner(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "auditd")
	if _, err := keydir.OpenLogSigner(dir); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("before there is any: %v", err)
	}
	made, err := keydir.CreateLogSigner(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keydir.CreateLogSigner(dir); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("a key over a key: %v", err)
	}
	opened, err := keydir.OpenLogSigner(dir)
	if err != nil || !opened.PublicKey().Equal(made.PublicKey()) {
		t.Fatalf("opened another key, or none: %v", err)
	}
	signed, err := opened.Sign([]byte("checkpoint"))
	if err != nil || !ed25519.Verify(made.PublicKey(), []byte("checkpoint"), signed) {
		t.Errorf("the signature does not verify as plain Ed25519: %v", err)
	}
	if got := fmt.Sprintf("%v %+v", made, made); got != privacy.Redacted+" "+privacy.Redacted {
		t.Errorf("prints %s", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left %v, %v", entries, err)
	}
	key := filepath.Join(dir, "log.json")
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := keydir.OpenLogSigner(dir); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.WriteFile(key, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := keydir.OpenLogSigner(dir); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a file that is no key: %v", err)
	}
}
