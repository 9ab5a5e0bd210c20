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

// printList writes a list: document as JSON if that was asked for, otherwise the table, or if
// it has no row, what to say instead.
func (s *screen) printList(document any, t *table, none string) error {
	return s.print(document, func(w io.Writer) {
		if len(t.rows) == 0 {
			_, _ = fmt.Fprintln(w, none)
			return
		}
		t.writeTo(w, "")
	})
}

// printDone writes what was done to what, and which entry says so.
func (s *screen) printDone(document any, done, what string, entry *logPointer) error {
	return s.print(document, func(w io.Writer) {
		t := table{}
		t.add(done, what)
		t.add("log entry", fmt.Sprint(entry.Index))
		t.writeTo(w, "")
	})
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
