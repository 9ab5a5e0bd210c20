package assembly

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// TestLateness: a signer of its own that has had a second to sign the first entry of the
// morning is not late, however long ago it signed the last one of the evening.
func TestLateness(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 8, 0, 0, 0, time.UTC)
	house := &House{}
	house.options.Now = func() time.Time { return now }
	house.signing.outside = true
	limit := house.Settings.Signing.Alarm()
	status := postgres.CheckpointStatus{Entries: 8, Signed: 7, SignedAt: now.Add(-12 * time.Hour), UnsignedSince: now.Add(-time.Second)}
	if late := house.lateness(&status); late != "" {
		t.Errorf("one second behind: %s", late)
	}
	status.UnsignedSince = now.Add(-limit - time.Second)
	if late := house.lateness(&status); late == "" {
		t.Error("a signer that is silent is not late")
	}
	status.UnsignedSince = time.Time{}
	if late := house.lateness(&status); late == "" {
		t.Error("since when an entry waits is not known, and that is not late")
	}
}

// TestAnchoringSaysThatTheLogIsShorter: a log that ends before the last anchor was rolled
// back, and anchoring that waits in silence until it has grown again would hide that.
func TestAnchoringSaysThatTheLogIsShorter(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	house.Settings.Anchoring.AnchorFile = filepath.Join(t.TempDir(), "anchors")
	if err := house.Log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(house.Settings.Home, anchored)
	if err := os.WriteFile(path, []byte(`{"file":{"at":"2026-05-04T08:00:00Z","size":100000}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if done, err := house.Anchor(t.Context(), privacy.Principal{}, false); !errors.Is(err, privacy.ErrDamaged) || len(done) > 0 {
		t.Errorf("anchored %d, %v", len(done), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if done, err := house.Anchor(t.Context(), privacy.Principal{}, false); err != nil || len(done) != 1 {
		t.Errorf("after it was accepted: anchored %d, %v", len(done), err)
	}
}
