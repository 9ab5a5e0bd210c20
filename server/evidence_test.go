package server

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	ways "github.com/mahrem/mahrem/internal/evidence"
)

// TestEveryRouteSaysWhatItLeaves: the table of evidence has exactly the routes. What they
// leave is tested where there is a database, in internal/assembly.
func TestEveryRouteSaysWhatItLeaves(t *testing.T) {
	t.Parallel()
	var served, known []string
	for _, r := range routes {
		served = append(served, r.method+" "+r.path)
	}
	for _, o := range ways.Routes() {
		known = append(known, o.Name)
	}
	if diff := cmp.Diff(served, known); diff != "" {
		t.Errorf("say in internal/evidence/table.go what each operation leaves in the log (-served +table):\n%s", diff)
	}
}
