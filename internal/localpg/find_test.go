package localpg_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/internal/localpg"
)

func TestFindPrograms(t *testing.T) {
	real, err := localpg.FindPrograms()
	if err != nil {
		t.Fatal(err)
	}
	link := func(dir, name, target string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	links, partial, wrapped, stub := t.TempDir(), t.TempDir(), t.TempDir(), t.TempDir()
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		link(links, name, real.Path(name))
		link(wrapped, name, "/bin/sh")
		if err := os.WriteFile(filepath.Join(stub, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link(partial, "pg_ctl", real.Path("pg_ctl"))
	for name, test := range map[string]struct {
		env, dir string
		ok       bool
		text     string
	}{
		"links count as what they point to": {"MAHREM_PG_BIN", links, true, ""},
		"no programs":                       {"MAHREM_PG_BIN", t.TempDir(), false, "holds no initdb"},
		"not all of them":                   {"MAHREM_PG_BIN", partial, false, "holds no initdb"},
		"wrappers":                          {"MAHREM_PG_BIN", wrapped, false, "stand-in"},
		"programs that do not run":          {"MAHREM_PG_BIN", stub, false, "older than 15"},
		"PATH":                              {"PATH", links, true, ""},
		"PATH is passed over":               {"PATH", partial, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("MAHREM_PG_BIN", "")
			t.Setenv(test.env, test.dir)
			got, err := localpg.FindPrograms()
			switch {
			case test.ok && err == nil && got != real && test.env != "PATH":
				t.Errorf("got %v, want %v", got, real)
			case test.ok && err != nil && name == "PATH is passed over" && errors.Is(err, localpg.ErrNoPrograms):
				// This machine has its programs in PATH alone.
			case test.ok && err != nil:
				t.Error(err)
			case !test.ok && (!errors.Is(err, localpg.ErrNoPrograms) || !strings.Contains(err.Error(), test.text)):
				t.Errorf("got %v, want %q", err, test.text)
			}
		})
	}
}
