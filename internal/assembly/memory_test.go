package assembly

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/mahrem/mahrem/audit"
)

func TestCheckpointFileNeverGoesBack(t *testing.T) {
	t.Parallel()
	file := checkpointFile{filepath.Join(t.TempDir(), lastCheckpoint)}
	if note, err := file.Load(); note != nil || err != nil {
		t.Fatalf("no file: %q, %v", note, err)
	}
	note := func(size uint64) []byte {
		return []byte(audit.FormatCheckpoint(audit.Checkpoint{Origin: "x", Size: size}) + "\n— x sig\n")
	}
	for _, test := range []struct{ keep, want uint64 }{{5, 5}, {4, 5}, {12, 12}, {5, 12}} {
		if err := file.Keep(note(test.keep)); err != nil {
			t.Fatal(err)
		}
		if got, err := file.Load(); err != nil || !bytes.Equal(got, note(test.want)) {
			t.Errorf("after %d: %q, %v", test.keep, got, err)
		}
	}
	info, err := os.Stat(file.path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Keep(note(20)); err == nil {
		t.Error("a damaged file was overwritten")
	}
}
