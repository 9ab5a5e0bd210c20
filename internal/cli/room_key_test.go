package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom/match"
)

// What parties share is nothing that masks, and one file is not both.
func TestSharedSecretsAreNoScalars(t *testing.T) {
	t.Parallel()
	for range 200 {
		secret, _, err := newPartyKey(keyShared, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := match.NewPair(match.PairSalt{}, strings.TrimSpace(secret)); err == nil {
			t.Fatal("a shared secret is a scalar of pair mode, too")
		}
	}
	scalar, _, err := newPartyKey(keyPair, "")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(own, []byte(scalar), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&app{}).pairKey(own, own); err == nil || !strings.Contains(err.Error(), "the same secret") {
		t.Errorf("one file as both: %v", err)
	}
	if err := os.Chmod(own, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := (&app{}).pairKey(own, own); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a secret that a group can read: %v", err)
	}
}
