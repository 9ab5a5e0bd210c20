//go:build race

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// plainBinary builds mahrem without the race detector and returns its directory. Under
// the detector each of the scripts' commands would take two seconds to activate the
// policies, minutes in all; what runs concurrently is tested under it in its packages.
func plainBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	// A test binary that is called mahrem is mahrem, and notes what it was asked (trace_test.go).
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-trimpath", "-o", filepath.Join(dir, "mahrem"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does, for the sake of its cache
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building mahrem: %v\n%s", err, out)
	}
	return dir
}
