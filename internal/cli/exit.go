package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/privacy"
)

// The exit codes. Scripts depend on them: they are documented in docs/cli.md and never
// change their meaning.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitRejected    = 3
	exitUnavailable = 5
)

var exitTexts = []struct {
	code int
	text string
}{
	{exitOK, "done; for query: answered, whatever the decision was"},
	{exitFailure, "failed or interrupted, and stderr says why; a check of doctor, demo, policy test or decision replay that does not hold; audit verify and audit diff: broken, and stdout names the first bad index"},
	{exitUsage, "the command line or the input is not understood; nothing was done; audit verify and audit diff: it could not be checked, whatever the reason"},
	{exitRejected, "intake load or iys import went through, but rows were rejected (see FILE.rejected.ndjson)"},
	{exitUnavailable, "the database or the log cannot be reached; the same command may safely be run again"},
}

// exitError carries an exit code up to [Run]. Its text is printed unless it is empty.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith returns an error that ends the command with code and says nothing more.
func exitWith(code int) error { return &exitError{code: code} }

// usagef returns an error about the command line.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// exitCode translates an error into what the shell sees.
func exitCode(err error) int {
	var coded *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, privacy.ErrUnavailable):
		return exitUnavailable
	case errors.Is(err, privacy.ErrInvalid):
		return exitUsage
	}
	return exitFailure
}

func exitCodesTopic() *cobra.Command {
	text := "Exit codes of every mahrem command:\n"
	for _, e := range exitTexts {
		text += fmt.Sprintf("\n  %d  %s", e.code, e.text)
	}
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: text}
}
