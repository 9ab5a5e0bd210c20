package keydir_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestOpenDSRFiles(t *testing.T) {
	t.Parallel()
	dir := mustCreate(t)
	keys := mustOpen(t, dir)
	if _, _, err := keys.OpenDSR(); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("before there is any: %v", err)
	}
	if err := keys.SetOpenDSRKey([]byte("key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.OpenDSR(); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("without a certificate: %v", err)
	}
	if err := keys.SetOpenDSRKey([]byte("other")); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("a key over a key: %v", err)
	}
	for _, certificate := range []string{"first", "second"} {
		if err := keys.SetOpenDSRCertificate([]byte(certificate)); err != nil {
			t.Fatal(err)
		}
		key, got, err := keys.OpenDSR()
		if err != nil || string(key) != "key" || string(got) != certificate {
			t.Errorf("got %q and %q, %v", key, got, err)
		}
	}
	path := filepath.Join(dir, "opendsr", "key.pem")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.OpenDSR(); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a key that others can read: %v", err)
	}
	mustOpen(t, dir) // the rest of the directory opens as before
}
