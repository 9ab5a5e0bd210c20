package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// screen is where a command prints.
type screen struct {
	out  io.Writer
	err  io.Writer
	json bool
}

// print writes one result: document as JSON if that was asked for, otherwise what human
// writes.
func (s *screen) print(document any, human func(w io.Writer)) error {
	if !s.json {
		human(s.out)
		return nil
	}
	encoder := json.NewEncoder(s.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("writing result: %w", err)
	}
	return nil
}

// notef tells the person at the terminal something that is not a result.
func (s *screen) notef(format string, args ...any) {
	_, _ = fmt.Fprintf(s.err, "mahrem: "+format+"\n", args...)
}

// isTerminal reports whether w is a terminal that may be drawn on.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd())) && os.Getenv("TERM") != "dumb"
}

// jsonFlag adds --json.
func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.screen.json, "json", false, "print the result as one JSON document")
}
