package policies

import (
	"bytes"
	"context"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/format"
	"github.com/open-policy-agent/opa/v1/tester"
)

// runRego runs the tests that stand in the modules and returns the names of those that
// failed.
func runRego(t *testing.T, modules map[string]*ast.Module, coverage *cover.Cover) []string {
	t.Helper()
	catalogue, err := LoadCatalogue(Bundle(), catalogueDir)
	if err != nil {
		t.Fatal(err)
	}
	store := newStore(catalogue.document())
	compiler := ast.NewCompiler().WithEnablePrintStatements(false).WithCapabilities(capabilities())
	runner := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(modules).SetParallel(1)
	if coverage != nil {
		runner.SetCoverageQueryTracer(coverage).SetCoverageRuns(nil)
	}
	txn, err := store.NewTransaction(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Abort(context.Background(), txn)
	results, err := runner.RunTests(t.Context(), txn)
	if err != nil {
		return []string{"compile: " + err.Error()}
	}
	var failed []string
	ran := 0
	for result := range results {
		ran++
		if result.Error != nil || !result.Pass() {
			failed = append(failed, result.Name)
		}
	}
	if ran == 0 {
		t.Fatal("no Rego test ran")
	}
	slices.Sort(failed)
	return failed
}

func allModules(t *testing.T) map[string]*ast.Module {
	t.Helper()
	content, err := readBundle(Bundle())
	if err != nil {
		t.Fatal(err)
	}
	modules, err := parseModules(content, true)
	if err != nil {
		t.Fatal(err)
	}
	return modules
}

func TestRegoTestsPassWithFullCoverage(t *testing.T) {
	t.Parallel()
	modules, coverage := allModules(t), cover.New()
	if failed := runRego(t, modules, coverage); len(failed) > 0 {
		t.Fatalf("Rego tests failed: %v", failed)
	}
	report := coverage.Report(modules)
	for name, file := range report.Files {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		for _, missed := range file.NotCovered {
			t.Errorf("%s:%d-%d is not covered by a Rego test", name, missed.Start.Row, missed.End.Row)
		}
	}
	for name := range modules {
		if report.Files[name] == nil {
			t.Errorf("%s is not covered at all", name)
		}
	}
}

// TestEveryRuleMatters deletes one rule after another: each time a Rego test must fail.
func TestEveryRuleMatters(t *testing.T) {
	if testing.Short() || underRace {
		t.Skip("compiles the rules once per rule; make test runs it without the race detector")
	}
	t.Parallel()
	control := allModules(t)
	for _, module := range control {
		module.Annotations = nil
	}
	if failed := runRego(t, control, nil); len(failed) > 0 {
		t.Fatalf("tests fail without a deletion: %v", failed)
	}
	deleted := 0
	for name, module := range allModules(t) {
		if strings.HasSuffix(name, "_test.rego") {
			continue
		}
		for i, rule := range module.Rules {
			modules := allModules(t)
			modules[name].Rules = slices.Delete(modules[name].Rules, i, i+1)
			modules[name].Annotations = nil
			if failed := runRego(t, modules, nil); len(failed) == 0 {
				t.Errorf("%s: no test misses rule %s", rule.Location, rule.Head.Ref())
			}
			deleted++
		}
	}
	t.Logf("deleted %d rules, one at a time", deleted)
}

func TestRegoIsFormattedAndLinted(t *testing.T) {
	t.Parallel()
	content, err := readBundle(Bundle())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range content.names() {
		if !strings.HasSuffix(name, ".rego") {
			continue
		}
		formatted, err := format.Source(name, content[name])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(formatted, content[name]) {
			t.Errorf("%s is not formatted as opa fmt would", name)
		}
	}
	for name, module := range allModules(t) {
		for _, complaint := range lint(module) {
			t.Errorf("%s: %s", name, complaint)
		}
	}
}

func TestLintComplains(t *testing.T) {
	t.Parallel()
	module, err := ast.ParseModuleWithOpts("x.rego", `package mahrem.gate
default open(_) := true
passed contains "a.b" if input.x
`, ast.ParserOptions{ProcessAnnotation: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := lint(module); len(got) != 3 {
		t.Errorf("lint found %q, want the import, the default function and the labels", got)
	}
}

func TestCapabilitiesReachNothingOutside(t *testing.T) {
	t.Parallel()
	for _, call := range []string{
		"time.now_ns()", `http.send({"method":"GET","url":"http://localhost"})`, `rand.intn("x", 9)`, "opa.runtime()",
		`net.lookup_ip_addr("localhost")`, `uuid.rfc4122("x")`, `io.jwt.decode("x")`, `crypto.sha256("x")`,
	} {
		_, err := parseModules(bundleContent{"rego/x.rego": []byte("package x\n\ny := " + call + "\n")}, false)
		if err != nil {
			continue
		}
		modules, _ := parseModules(bundleContent{"rego/x.rego": []byte("package x\n\ny := " + call + "\n")}, false)
		if _, err := compileModules(modules); err == nil {
			t.Errorf("%s compiles", call)
		}
	}
}

func TestBundleHasOnlyKnownFolders(t *testing.T) {
	t.Parallel()
	entries, err := fs.ReadDir(Bundle(), ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("the bundle has %d folders, want rego, catalogue and cases", len(entries))
	}
}
