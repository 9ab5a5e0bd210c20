package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mahrem": traced})
}

// TestScripts runs the transcripts. Each one has a home and an embedded PostgreSQL of
// its own, as somebody at a terminal would.
func TestScripts(t *testing.T) {
	t.Parallel()
	binary, verifier := plainBinary(t), verifierBinary(t)
	bundle, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	watcher := newWatcher(t)
	cmds := commands()
	cmds["authority"] = authority(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                cmds,
		Setup: func(env *testscript.Env) error {
			// Run as root, PostgreSQL is another account and has to get into the home.
			home, err := os.MkdirTemp("/tmp", "mahrem-script-")
			if err != nil {
				return err
			}
			env.Defer(func() { _ = os.RemoveAll(home) })
			if err := os.Chmod(home, 0o755); err != nil {
				return err
			}
			env.Setenv("MAHREM_HOME", filepath.Join(home, "home"))
			watcher.watch(env, home)
			env.Values[witnessKey] = map[string]scriptWitness{}
			env.Setenv("BUNDLE", bundle)        // the one in the binary, to be copied and changed
			env.Setenv("MAHREM_PATIENCE", "30") // a machine that runs tests may be slow
			env.Setenv("MAHREM_PG_BIN", os.Getenv("MAHREM_PG_BIN"))
			path := os.Getenv("PATH")
			if binary != "" {
				path = binary + string(os.PathListSeparator) + path
			}
			env.Setenv("PATH", path+string(os.PathListSeparator)+verifier)
			return nil
		},
	})
}

// verifierBinary builds mahrem-verify, as make build does, and returns its directory.
func verifierBinary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "mahrem-verify"), "../mahrem-verify")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building mahrem-verify: %v\n%s", err, out)
	}
	return dir
}
