package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/vault/keyuse"
)

// TestReconcileDocsHaveTheRules: docs/reconcile.md prints what each use of a key implies.
func TestReconcileDocsHaveTheRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reconcile.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range keyuse.Rules() {
		line := "| `" + string(rule.Use) + "` | " + string(rule.Relation) + " | "
		if rule.Relation == keyuse.Free {
			line += rule.Reason
		} else {
			var kinds []string
			for _, kind := range rule.Kinds {
				kinds = append(kinds, "`"+string(kind)+"`")
			}
			line += strings.Join(kinds, ", ")
		}
		if line += " |\n"; !strings.Contains(string(text), line) {
			t.Errorf("docs/reconcile.md lacks\n%s", line)
		}
	}
}
