package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
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
			d, err := diffLogs(cmd.Context(), args[0], args[1], &input)
			if err != nil {
				return &exitError{code: exitUsage, err: err}
			}
			document := logDifference{
				Relation: string(d.Relation), Origin: d.Old.Origin, Old: d.Old.Size, OldRoot: hex.EncodeToString(d.Old.Root[:]),
				New: d.New.Size, NewRoot: hex.EncodeToString(d.New.Root[:]),
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

func diffLogs(ctx context.Context, older, newer string, input *verdict.Input) (d bundle.Difference, err error) {
	options, err := input.Read()
	if err != nil {
		return d, err
	}
	a, err := openState(ctx, older, &options)
	if err != nil {
		return d, fmt.Errorf("%s: %w", older, err)
	}
	b, err := openState(ctx, newer, &options)
	if err != nil {
		return d, fmt.Errorf("%s: %w", newer, err)
	}
	return bundle.Diff(ctx, a, b)
}

// openState opens a bundle, a log that is served or a file with a checkpoint, by whichever of the
// keys fits.
func openState(ctx context.Context, place string, options *verdict.Options) (state bundle.State, err error) {
	verifiers := []note.Verifier{nil} // the bundle's own
	if len(options.Keys) > 0 {
		verifiers = nil
	}
	for _, text := range options.Keys {
		name, key, err := audit.ParseKey(text)
		if err != nil {
			return state, err
		}
		verifier, err := audit.NewVerifier(name, key)
		if err != nil {
			return state, err
		}
		verifiers = append(verifiers, verifier)
	}
	info, statErr := os.Stat(place)
	isFile := statErr == nil && info.Mode().IsRegular()
	if statErr != nil && !strings.Contains(place, "://") {
		return state, statErr
	}
	var last error
	for _, verifier := range verifiers {
		if isFile {
			if verifier == nil {
				return state, errors.New("a checkpoint alone needs a key; give it with --key")
			}
			signed, err := readBounded(place, 1<<16)
			if err != nil {
				return state, err
			}
			if state, last = bundle.CheckpointState(signed, verifier); last == nil {
				return state, nil
			}
			continue
		}
		files, err := verdict.Open(place, options.Token)
		if err != nil {
			return state, err
		}
		b, err := bundle.Open(ctx, files, verifier)
		if err == nil {
			return bundle.StateOf(b), nil
		}
		last = err
	}
	return state, last
}
