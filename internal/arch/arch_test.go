package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/mahrem/mahrem/"
	goCmp  = "github.com/google/go-cmp"
)

// listed is what we read of a package from go list.
type listed struct {
	ImportPath, Name                   string
	Imports, TestImports, XTestImports []string
}

// rules is the table, read.
type rules struct {
	packages, tests, never map[string][]string // by package: what may, or must not, be imported
	modules                []string            // third-party modules that have a home
}

func TestImports(t *testing.T) {
	t.Parallel()
	r := parse(t, table)
	for _, p := range listPackages(t) {
		for _, fault := range r.check(p) {
			t.Error(fault)
		}
	}
}

// TestImportsFails shows that each kind of wrong edge is reported.
func TestImportsFails(t *testing.T) {
	t.Parallel()
	r := parse(t, table)
	for _, test := range []struct {
		p    listed
		want string
	}{
		{listed{ImportPath: module + "privacy", Imports: []string{"fmt", module + "audit"}}, "privacy must not import audit"},
		{listed{ImportPath: module + "consent", Imports: []string{module + "gate"}}, "consent must not import gate"},
		{listed{ImportPath: module + "server", Imports: []string{module + "postgres"}}, "server must not import postgres"},
		{listed{ImportPath: module + "server", Imports: []string{"database/sql"}}, "server must not import database/sql"},
		{listed{ImportPath: module + "gate", Imports: []string{"github.com/jackc/pgx/v5/pgxpool"}}, "gate must not import github.com/jackc/pgx/v5"},
		{listed{ImportPath: module + "gate", Imports: []string{"github.com/lib/pq"}}, "github.com/lib/pq has no home"},
		{listed{ImportPath: module + "gate", Imports: []string{goCmp + "/cmp"}}, goCmp + "/cmp has no home"},
		{listed{ImportPath: module + "gate", TestImports: []string{module + "internal/cli"}}, "gate_test must not import internal/cli"},
		{listed{ImportPath: module + "audit", XTestImports: []string{module + "internal/pgtest"}}, "audit_test must not import internal/pgtest"},
		{listed{ImportPath: module + "internal/new"}, "internal/new is not in the table"},
		{listed{ImportPath: module + "internal/arch/common", Name: "common"}, "says nothing"},
		{listed{ImportPath: module + "gate", Name: "gate", Imports: []string{"fmt", module + "consent"}, XTestImports: []string{goCmp + "/cmp", module + "gate"}}, ""},
	} {
		faults := strings.Join(r.check(test.p), "\n")
		if test.want == "" && faults != "" || !strings.Contains(faults, test.want) {
			t.Errorf("%+v: got %q, want %q", test.p, faults, test.want)
		}
	}
}

// check returns a line for each edge of the package that the table does not hold.
func (r rules) check(p listed) []string {
	name := strings.TrimPrefix(p.ImportPath, module)
	allowed, known := r.packages[name]
	var faults []string
	if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "models", "types", "base", "misc", "pkg"}, p.Name) {
		faults = append(faults, fmt.Sprintf("%s: the name %q says nothing", name, p.Name))
	}
	if !known {
		return append(faults, name+" is not in the table of internal/arch")
	}
	for _, path := range p.Imports {
		faults = append(faults, r.edge(name, path, allowed, r.never[name])...)
	}
	inTests := slices.Concat(allowed, r.tests[name], []string{name, goCmp})
	for _, path := range slices.Concat(p.TestImports, p.XTestImports) {
		faults = append(faults, r.edge(name+"_test", path, inTests, nil)...)
	}
	return faults
}

func (r rules) edge(from, path string, allowed, never []string) []string {
	to := path
	switch first, _, _ := strings.Cut(path, "/"); {
	case strings.HasPrefix(path, module):
		to = strings.TrimPrefix(path, module)
	case strings.Contains(first, "."):
		to = ""
		for _, m := range append(r.modules, allowed...) {
			if path == m || strings.HasPrefix(path, m+"/") {
				to = m
			}
		}
		if to == "" {
			return []string{fmt.Sprintf("%s imports %s: the module of %s has no home in internal/arch", from, path, path)}
		}
	default: // the standard library
		if slices.Contains(never, path) {
			return []string{fmt.Sprintf("%s must not import %s", from, path)}
		}
		return nil
	}
	if !slices.Contains(allowed, to) {
		return []string{fmt.Sprintf("%s must not import %s (see internal/arch)", from, to)}
	}
	return nil
}

// domain is what stands above the line of postgres in the table.
var domain = []string{"privacy", "audit", "audit/bundle", "audit/page", "audit/verdict", "audit/witness", "vault", "vault/keyuse", "pseudonym", "policies", "consent", "consent/iys", "consent/proof", "consent/link", "consent/notice", "consent/receipt", "consent/subscriber", "consent/signal", "intake", "gate", "gate/casework", "archive", "dsar", "dsar/clock", "dsar/letter", "dsar/identity", "dsar/fulfil", "dsar/outbox", "dsar/ledger", "dsar/retention", "dsar/export", "dsar/opendsr", "dsar/certificate", "cleanroom", "cleanroom/noise", "cleanroom/match", "cleanroom/prepare", "cleanroom/draw", "cleanroom/persona", "cleanroom/activate", "cleanroom/admit"}

func parse(t *testing.T, text string) rules {
	t.Helper()
	r := rules{packages: map[string][]string{}, tests: map[string][]string{}, never: map[string][]string{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		left, right, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("line without a colon: %q", line)
		}
		ours, theirs, _ := strings.Cut(right, ";")
		var allowed []string
		for _, name := range strings.Fields(ours) {
			if name == "domain" {
				allowed = append(allowed, domain...)
				continue
			}
			allowed = append(allowed, name)
		}
		allowed = append(allowed, strings.Fields(theirs)...)
		r.modules = append(r.modules, strings.Fields(theirs)...)
		into, name := r.packages, left
		if rest, ok := strings.CutPrefix(left, "test "); ok {
			into, name = r.tests, rest
		} else if rest, ok := strings.CutPrefix(left, "never "); ok {
			into, name = r.never, rest
		}
		if _, twice := into[name]; twice {
			t.Fatalf("two lines for %q", left)
		}
		into[name] = allowed
	}
	return r
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Name,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root(t)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatalf("reading go list: %v", err)
		}
		packages = append(packages, p)
	}
}

// TestFiles: files stay small enough to be read in one sitting, folders say what they
// hold, and nobody gives up durability but the tests.
func TestFiles(t *testing.T) {
	t.Parallel()
	const longest = 450
	err := filepath.WalkDir(root(t), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != root(t) {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root(t), path)
		if n := bytes.Count(text, []byte("\n")); n > longest && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s has %d lines, more than %d: split it", name, n, longest)
		}
		if dir := filepath.ToSlash(filepath.Dir(name)); bytes.Contains(text, []byte("localpg.StartThrowaway(")) &&
			dir != "internal/pgtest" && dir != "internal/arch" {
			t.Errorf("%s starts a database without fsync; only internal/pgtest may: use pgtest.New, or localpg.Start without a Dir", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// root is the directory of the module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
