package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/vault/keyuse"
)

type reconciledUse struct {
	Use       string   `json:"use"`
	Opened    uint64   `json:"opened"`
	Abandoned uint64   `json:"abandoned"`
	Relation  string   `json:"relation"`
	Kinds     []string `json:"kinds"`
	Entries   uint64   `json:"entries"`
	Missing   uint64   `json:"missing"`
	Reason    string   `json:"reason,omitempty"`
}

type reconciliation struct {
	Whole  bool              `json:"whole"`
	From   time.Time         `json:"from"`
	To     time.Time         `json:"to"`
	Opened uint64            `json:"opened"`
	Uses   []reconciledUse   `json:"uses"`
	Faults map[string]uint64 `json:"faults"`
	// Outside is what a key service's own count says; empty if it agrees or is not given.
	Outside string `json:"outside,omitempty"`
}

func (a *app) auditReconcile() *cobra.Command {
	var fromText, toText string
	var outside int64
	cmd := &cobra.Command{
		Use: "reconcile", Short: "Compare what keys were opened for with what the log says", Args: cobra.NoArgs,
		Long: `Compare how often keys of people were opened, and what for, with the entries of the log
that each use implies: an answer needs an entry, and so do a look and an export. Uses
without an entry are named, by kind and number; the exit code is then 1. A use that ended
without an answer, because the log was out of reach, is counted apart.

If the KEK is in a key service that counts by itself, --kms-count says how often it was
used in this time, by its own log, which nobody here can change.

The span is widened to whole reports: a server reports every hour, a command when it ends.`,
		Example: `  mahrem audit reconcile --from 2026-11-01 --to 2026-12-01
  mahrem audit reconcile --kms-count 48211`,
	}
	flags := cmd.Flags()
	flags.StringVar(&fromText, "from", "", "beginning, a day or a moment (default: that of the log)")
	flags.StringVar(&toText, "to", "", "end (default: now)")
	flags.Int64Var(&outside, "kms-count", -1, "how many keys a key service says that it opened in this time")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := instant("--from", fromText)
		if err != nil {
			return err
		}
		to, err := instant("--to", toText)
		if err != nil {
			return err
		}
		if to.IsZero() {
			to = time.Now().UTC()
		}
		if !from.Before(to) {
			return usagef("--from must be before --to")
		}
		if flags.Changed("kms-count") && outside < 0 {
			return usagef("--kms-count must be a number of uses")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		progress := newBar(a.screen.err, "comparing", "entries", -1)
		result, tally, err := house.Reconcile(cmd.Context(), from, to, progress.set)
		progress.finish()
		if err != nil {
			return err
		}
		document := newReconciliation(&result, tally)
		if outside >= 0 {
			document.Outside = result.Outside(uint64(outside))
			document.Whole = document.Whole && document.Outside == ""
		}
		if err := a.screen.print(document, func(w io.Writer) { document.writeTo(w, result.FaultNames()) }); err != nil {
			return err
		}
		if !document.Whole {
			return errors.New("not every use of a key is accounted for")
		}
		return nil
	}
	a.jsonFlag(cmd)
	return cmd
}

func newReconciliation(result *keyuse.Result, tally *keyuse.Tally) reconciliation {
	d := reconciliation{
		Whole: result.Whole(), From: tally.From.UTC(), To: tally.To.UTC(), Opened: result.Opened, Uses: []reconciledUse{}, Faults: result.Faults,
	}
	for _, line := range result.Lines {
		if line.Opened == 0 && line.Missing == 0 {
			continue
		}
		use := reconciledUse{
			string(line.Use), line.Opened, line.Abandoned, string(line.Relation), []string{}, line.Entries, line.Missing, line.Reason,
		}
		for _, kind := range line.Kinds {
			use.Kinds = append(use.Kinds, string(kind))
		}
		d.Uses = append(d.Uses, use)
	}
	return d
}

func (d *reconciliation) writeTo(w io.Writer, faults []string) {
	t := table{header: []string{"opened for", "keys", "came to nothing", "entries", "without an entry", ""}}
	for _, use := range d.Uses {
		entries, missing, remark := fmt.Sprint(use.Entries), fmt.Sprint(use.Missing), strings.Join(use.Kinds, ", ")
		switch keyuse.Relation(use.Relation) {
		case keyuse.Free:
			entries, missing, remark = "–", "–", use.Reason
		case keyuse.Many:
			remark += " (one for many)"
		}
		t.add(use.Use, fmt.Sprint(use.Opened), fmt.Sprint(use.Abandoned), entries, missing, remark)
	}
	t.writeTo(w, "")
	for _, name := range faults {
		_, _ = fmt.Fprintf(w, "%d × %s\n", d.Faults[name], name)
	}
	if d.Outside != "" {
		_, _ = fmt.Fprintln(w, d.Outside)
	}
	if d.Whole {
		_, _ = fmt.Fprintf(w, "OK, %d uses of keys are accounted for\n", d.Opened)
	}
}
