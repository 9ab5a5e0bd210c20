package policies

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/tester"

	"github.com/mahrem/mahrem/privacy"
)

// RegoTests is the outcome of the tests that stand beside the rules.
type RegoTests struct {
	// Ran is how many there were.
	Ran int
	// Failed are the names of those that failed, sorted.
	Failed []string
	// Uncovered are the places in rules that no test reaches, such as
	// "rego/plan.rego:7-9", sorted.
	Uncovered []string
}

// TestRego runs the *_test.rego files of a bundle with its own catalogue, under the same
// capabilities as the rules. The error is about a bundle that cannot be tested; a test
// that fails is a result.
func TestRego(ctx context.Context, bundle fs.FS) (RegoTests, error) {
	content, err := readBundle(bundle)
	if err != nil {
		return RegoTests{}, err
	}
	catalogue, err := LoadCatalogue(bundle, catalogueDir)
	if err != nil {
		return RegoTests{}, err
	}
	modules, err := parseModules(content, true)
	if err != nil {
		return RegoTests{}, err
	}
	store := newStore(catalogue.document())
	compiler := ast.NewCompiler().WithEnablePrintStatements(false).WithCapabilities(capabilities())
	return runRegoTests(ctx, store, compiler, modules)
}

func runRegoTests(ctx context.Context, store storage.Store, compiler *ast.Compiler, modules map[string]*ast.Module) (RegoTests, error) {
	txn, err := store.NewTransaction(ctx)
	if err != nil {
		return RegoTests{}, fmt.Errorf("testing rules: %w", err)
	}
	defer store.Abort(ctx, txn)
	coverage := cover.New()
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(modules).SetParallel(1).
		SetCoverageQueryTracer(coverage).SetCoverageRuns(nil).RunTests(ctx, txn)
	if err != nil {
		return RegoTests{}, fmt.Errorf("testing rules: %w: %w", err, privacy.ErrInvalid)
	}
	var outcome RegoTests
	for result := range results {
		outcome.Ran++
		if result.Error != nil || !result.Pass() {
			outcome.Failed = append(outcome.Failed, result.Package+"."+result.Name)
		}
	}
	slices.Sort(outcome.Failed)
	outcome.Uncovered = uncovered(coverage, modules)
	return outcome, nil
}

// uncovered returns the places in rules that no test reached.
func uncovered(coverage *cover.Cover, modules map[string]*ast.Module) []string {
	report := coverage.Report(modules)
	var places []string
	for name, module := range modules {
		file := report.Files[name]
		switch {
		case strings.HasSuffix(name, "_test.rego"):
		case file != nil:
			for _, missed := range file.NotCovered {
				places = append(places, fmt.Sprintf("%s:%d-%d", name, missed.Start.Row, missed.End.Row))
			}
		case len(module.Rules) > 0:
			places = append(places, name)
		}
	}
	slices.Sort(places)
	return places
}
