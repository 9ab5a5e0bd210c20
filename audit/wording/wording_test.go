package wording

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// constants returns the values of the string constants of a type of package audit, as
// they stand in its source: a kind without words is found without a list of kinds.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typeName {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, text)
			}
		}
		return true
	})
	return values
}

// Everything that may stand in an entry has words, and there are words for nothing else.
func TestEverythingHasWords(t *testing.T) {
	t.Parallel()
	titles := Read()
	kinds := constants(t, "Kind")
	if len(kinds) < 60 || len(kinds) != len(titles.Kinds) {
		t.Errorf("%d kinds in package audit, %d with titles", len(kinds), len(titles.Kinds))
	}
	for _, kind := range kinds {
		if _, ok := titles.Kinds[audit.Kind(kind)]; !ok {
			t.Errorf("kind %s has no title", kind)
		}
	}
	for kind := range titles.Kinds {
		if !kind.Valid() {
			t.Errorf("a title for %s, which is no kind", kind)
		}
	}
	for _, outcome := range constants(t, "Outcome") {
		if _, ok := titles.Outcomes[audit.Outcome(outcome)]; !ok {
			t.Errorf("outcome %s has no title", outcome)
		}
	}
	for role := range titles.Roles {
		if _, err := privacy.ParseRole(string(role)); err != nil && role != "" {
			t.Errorf("a title for %s, which is no role", role)
		}
	}
	if len(titles.Roles) != 5 {
		t.Errorf("%d roles", len(titles.Roles))
	}
}

func TestNoTextIsEmpty(t *testing.T) {
	t.Parallel()
	titles := Read()
	check := func(of string, text Text) {
		for i, language := range []Language{English, Turkish, Czech} {
			if got := text.In(language); got == "" || got != text[i] || strings.TrimSpace(got) != got {
				t.Errorf("%s in %s: %q", of, language, got)
			}
		}
	}
	for kind, text := range titles.Kinds {
		check(string(kind), text)
	}
	for outcome, text := range titles.Outcomes {
		check(string(outcome), text)
	}
	for role, text := range titles.Roles {
		check(string(role), text)
	}
	for field, text := range titles.Fields {
		check(field, text)
	}
}

func TestParseLanguage(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"en", "tr", "cs"} {
		if l, err := ParseLanguage(good); err != nil || string(l) != good {
			t.Errorf("%s: %q, %v", good, l, err)
		}
	}
	for _, bad := range []string{"", "EN", "de", "en-GB"} {
		if _, err := ParseLanguage(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
