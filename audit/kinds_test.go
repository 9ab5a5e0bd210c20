package audit

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// declaredKinds reads the constants of type Kind from the source, so that one which is
// declared and forgotten elsewhere is seen.
func declaredKinds(t *testing.T) []Kind {
	t.Helper()
	file, err := goparser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []Kind
	for _, decl := range file.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			name, ok := value.Type.(*ast.Ident)
			if !ok || name.Name != "Kind" {
				continue
			}
			word, err := strconv.Unquote(value.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, Kind(word))
		}
	}
	return found
}

// TestKindsStandEverywhere: what is declared is listed, valid and in the specification,
// and nothing else is.
func TestKindsStandEverywhere(t *testing.T) {
	t.Parallel()
	declared := declaredKinds(t)
	if diff := cmp.Diff(slices.Sorted(slices.Values(declared)), slices.Sorted(slices.Values(Kinds()))); diff != "" {
		t.Errorf("(-declared +listed):\n%s", diff)
	}
	text, err := os.ReadFile("../docs/spec/entry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "- **Kinds**: ")
	list, _, _ = strings.Cut(list, "A new kind")
	var written []Kind
	for i, part := range strings.Split(list, "`") {
		if i%2 == 1 {
			written = append(written, Kind(part))
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(declared)), slices.Sorted(slices.Values(written))); diff != "" {
		t.Errorf("(-declared +docs/spec/entry.md):\n%s", diff)
	}
	for _, kind := range declared {
		if !kind.Valid() || !isWord(kind) {
			t.Errorf("%s is declared and not valid", kind)
		}
	}
	if Kind("query.guessed").Valid() || Kind("").Valid() {
		t.Error("a kind that is not declared is valid")
	}
}
