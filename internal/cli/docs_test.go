package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEverythingIsDocumented: docs/cli.md has every command and every exit code.
func TestEverythingIsDocumented(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, e := range exitTexts {
		if !strings.Contains(text, fmt.Sprintf("| %d | %s |", e.code, e.text)) {
			t.Errorf("docs/cli.md lacks exit code %d: %s", e.code, e.text)
		}
	}
	a := &app{getenv: func(string) string { return "" }, screen: screen{out: &bytes.Buffer{}, err: &bytes.Buffer{}}}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Runnable() && !cmd.HasSubCommands() && !strings.Contains(text, "`"+cmd.CommandPath()+"`") {
			t.Errorf("docs/cli.md lacks %s", cmd.CommandPath())
		}
		prints := cmd.Runnable() && !cmd.HasSubCommands()
		if prints && cmd.Flags().Lookup("json") == nil {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
		if cmd.Short == "" {
			t.Errorf("%s does not say what it does", cmd.CommandPath())
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(a.root())
}

func TestRunIsQuietOnStdoutWhenItFails(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"bogus"}, {"audit"}, {"query"}, {"erase", "--nope"}, {"migrate", "up", "extra"}, {"policy", "explain"}} {
		var out, err bytes.Buffer
		code := Run(context.Background(), args, strings.NewReader(""), &out, &err)
		if code != exitUsage || out.Len() > 0 || !strings.HasPrefix(err.String(), "mahrem: ") {
			t.Errorf("mahrem %v: exit %d, stdout %q, stderr %q", args, code, out.String(), err.String())
		}
	}
}
