package cli

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/verdict"
)

// logDifference is the document of audit diff.
type logDifference struct {
	Relation string  `json:"relation"`
	Origin   string  `json:"origin"`
	Old      uint64  `json:"old_entries"`
	OldRoot  string  `json:"old_root"`
	New      uint64  `json:"new_entries"`
	NewRoot  string  `json:"new_root"`
	OwnKeys  bool    `json:"own_keys"`
	First    *uint64 `json:"first_bad_index,omitempty"`
}

func (a *app) auditDiff() *cobra.Command {
	var input verdict.Input
	cmd := &cobra.Command{
		Use: "diff OLD NEW", Short: "Say whether one state of a log extends another", Args: cobra.ExactArgs(2),
		Long: `Compare two states of a log: bundles, addresses of logs that are served, or checkpoints
that somebody kept, at least one of them no mere checkpoint unless both have one size. The
newer one extends the older, or the log was truncated or forked, and the first index where
they differ is named. A few tiles are read, however long the log is; whether the entries fit
their tiles is for "mahrem audit verify".

The exit code is 0 if NEW extends OLD or is the same, 1 if not, and 2 if they could not be compared.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			options, err := input.Read()
			var d bundle.Difference
			if err == nil {
				d, err = verdict.Diff(cmd.Context(), args[0], args[1], options)
			}
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			document := logDifference{
				Relation: string(d.Relation), Origin: d.Old.Origin, Old: d.Old.Size, OldRoot: hex.EncodeToString(d.Old.Root[:]),
				New: d.New.Size, NewRoot: hex.EncodeToString(d.New.Root[:]), OwnKeys: d.OwnKeys,
			}
			if !d.Whole() && d.Known {
				document.First = &d.First
			}
			err = a.screen.print(document, func(w io.Writer) { writeRelation(w, &d) })
			if err == nil && !d.Whole() {
				err = exitWith(exitFailure)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&input.Keys, "key", nil, "public key of the log, or a file with it")
	flags.StringVar(&input.TokenFile, "token-file", "", "file with a bearer token, for a log that is served")
	a.jsonFlag(cmd)
	return cmd
}

func writeRelation(w io.Writer, d *bundle.Difference) {
	if d.OwnKeys {
		_, _ = fmt.Fprint(w, "NO KEY WAS GIVEN: the key that lies in both was used. This shows nothing about whose log it is.\n\n")
	}
	switch d.Relation {
	case bundle.Same:
		_, _ = fmt.Fprintf(w, "SAME, %d entries\n", d.Old.Size)
	case bundle.Extended:
		_, _ = fmt.Fprintf(w, "OK, extended by %d entries, from %d to %d\n", d.New.Size-d.Old.Size, d.Old.Size, d.New.Size)
	case bundle.Truncated:
		_, _ = fmt.Fprintf(w, "TRUNCATED, first bad index %d: the last %d entries are gone\n", d.First, d.Old.Size-d.New.Size)
	case bundle.Forked:
		if d.Known {
			_, _ = fmt.Fprintf(w, "FORKED, first bad index %d: two histories were signed\n", d.First)
		} else {
			_, _ = fmt.Fprintf(w, "FORKED: two histories were signed; they differ before index %d\n", min(d.Old.Size, d.New.Size))
		}
	}
}
