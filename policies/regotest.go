package policies

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
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
	results, err := tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(modules).SetParallel(1).RunTests(ctx, txn)
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
	return outcome, nil
}
