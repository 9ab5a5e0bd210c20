package cli

import (
	"bytes"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/evidence"
)

// TestEveryCommandSaysWhatItLeaves: the table of evidence has exactly the commands. What
// they leave is tested on the transcripts, in cmd/mahrem.
func TestEveryCommandSaysWhatItLeaves(t *testing.T) {
	t.Parallel()
	a := &app{getenv: func(string) string { return "" }, screen: screen{out: &bytes.Buffer{}, err: &bytes.Buffer{}}}
	var offered, known []string
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		// A group only holds others, and has nothing to say about itself, unless it is one in
		// chapters, which says how they belong together.
		if cmd.Runnable() && (!cmd.HasSubCommands() || cmd.Long != "" && cmd.HasParent() && len(cmd.Groups()) == 0) {
			offered = append(offered, cmd.CommandPath())
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(a.root())
	slices.Sort(offered)
	for _, o := range evidence.Commands() {
		known = append(known, o.Name)
	}
	if diff := cmp.Diff(offered, known); diff != "" {
		t.Errorf("say in internal/evidence/table.go what each command leaves in the log (-offered +table):\n%s", diff)
	}
}
