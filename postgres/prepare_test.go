package postgres

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/internal/pgtest"
)

// TestStatements prepares each statement of the package against the migrated tables and
// has it planned as mahrem_app. A misspelt column, a parameter without a type and a
// missing grant fail here, and not when the statement is first run.
func TestStatements(t *testing.T) {
	t.Parallel()
	statements := packageStatements(t)
	if len(statements) == 0 {
		t.Skip("the package has no statements yet")
	}
	pool := pgtest.New(t).Pool(t)
	for _, s := range statements {
		t.Run(s.name, func(t *testing.T) {
			conn, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
			if err := checkStatement(t.Context(), conn.Conn(), s); err != nil {
				t.Errorf("%s: %v", s.position, err)
			}
		})
	}
}

// TestCheckStatementFails shows that the check can fail.
func TestCheckStatementFails(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t).Pool(t)
	for text, want := range map[string]string{
		`select data_subject_ident from vault.data_subject where data_subject_id = $1`:                 "42703",
		`delete from vault.data_subject where data_subject_id = $1`:                                    "42501",
		`select data_subject_id from vault.data_subject`:                                               "",
		`select pg_read_file($1)`:                                                                      "42501",
		`select 1; select 2`:                                                                           "42601",
		`insert into vault.data_subject (data_subject_id, jurisdiction) select unnest($1::uuid[]), $2`: "",
	} {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = checkStatement(t.Context(), conn.Conn(), statement{name: "sqlTest", text: text})
		conn.Release()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// checkStatement prepares a statement, and has it explained with null for every
// parameter: the planner looks up names and types, and the executor, made ready but not
// run, looks up privileges.
func checkStatement(ctx context.Context, conn *pgx.Conn, s statement) error {
	description, err := conn.Prepare(ctx, s.name, s.text)
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	defer func() { _ = conn.Deallocate(ctx, s.name) }()
	explain := `explain execute "` + s.name + `"`
	if n := len(description.ParamOIDs); n > 0 {
		explain += "(" + strings.TrimSuffix(strings.Repeat("null, ", n), ", ") + ")"
	}
	// With a plan of its own a function of null would be computed away, and its privilege
	// not looked up.
	explain = `set plan_cache_mode = force_generic_plan; ` + explain
	if _, err := conn.Exec(ctx, explain, pgx.QueryExecModeSimpleProtocol); err != nil {
		return fmt.Errorf("planning as %s: %w", appRole, err)
	}
	return nil
}

type statement struct {
	name, text string
	position   token.Position
}

// packageStatements finds the constants whose names begin with sql, at the top of a file
// or within a function.
func packageStatements(t *testing.T) []statement {
	t.Helper()
	set := token.NewFileSet()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]ast.Expr{}
	var found []statement
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					values[name.Name] = spec.Values[i]
				}
				if !strings.HasPrefix(name.Name, "sql") || name.Name == "sql" {
					continue
				}
				if slices.ContainsFunc(found, func(s statement) bool { return s.name == name.Name }) {
					t.Errorf("%s: there are two statements named %s", set.Position(name.Pos()), name.Name)
				}
				found = append(found, statement{name: name.Name, position: set.Position(name.Pos())})
			}
			return true
		})
	}
	for i := range found {
		found[i].text = constantText(t, values, &ast.Ident{Name: found[i].name})
	}
	slices.SortFunc(found, func(a, b statement) int { return strings.Compare(a.name, b.name) })
	return found
}

// constantText evaluates literals, names of other constants, and sums of them.
func constantText(t *testing.T, values map[string]ast.Expr, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	case *ast.Ident:
		if value, ok := values[e.Name]; ok {
			return constantText(t, values, value)
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return constantText(t, values, e.X) + constantText(t, values, e.Y)
		}
	case *ast.ParenExpr:
		return constantText(t, values, e.X)
	}
	t.Fatalf("a statement is not a constant text: %T", e)
	return ""
}
