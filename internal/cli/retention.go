package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) retentionCommand() *cobra.Command {
	return group("retention", "Let go of what is not needed any more, and prove it",
		a.retentionLook("plan", "Say what a run would destroy just now", `Say what mahrem retention run would destroy just now, by category and kind of rows, and what
legal holds would keep although it has had its period. Nothing is changed.`, (*retention.Runner).Plan),
		a.retentionLook("run", "Destroy what has had its period", `Destroy what has had its period under catalogue/retention.yaml: values and events of people,
ended cases, old requests and other rows, and what was kept from erasures once its ground has
ended. Legal holds are looked up in the transaction that destroys, with the person's row
locked. It can be broken off at any time and goes on where it stopped; each step is in the log.
mahrem serve runs it once a day.`, (*retention.Runner).Run),
		a.retentionReport())
}

// retentionDocument is the outcome of a plan or run.
type retentionDocument struct {
	Run        string            `json:"run,omitempty"`
	At         time.Time         `json:"at"`
	People     int64             `json:"people"`
	Changed    int64             `json:"people_changed"`
	Counts     []retention.Count `json:"counts"`
	Skipped    int64             `json:"skipped"`
	Unreadable int64             `json:"unreadable"`
	LastRun    *time.Time        `json:"last_run,omitempty"`
	Overdue    bool              `json:"overdue"`
}

type retentionAct func(*retention.Runner, context.Context, privacy.Principal, func(done, total int64)) (retention.Outcome, error)

func (a *app) retentionLook(verb, short, long string, act retentionAct) *cobra.Command {
	cmd := &cobra.Command{
		Use: verb, Short: short, Args: cobra.NoArgs, Long: long,
		Example: "  mahrem retention " + verb + "\n  mahrem retention " + verb + " --json",
	}
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
		bar := newBar(a.screen.err, "looking", "people", -1)
		outcome, err := act(house.Retention, cmd.Context(), operator(), bar.set)
		bar.finish()
		if err != nil {
			return err
		}
		if outcome.Overdue {
			a.screen.notef("the last run came to its end on %s: longer ago than the catalogue allows", outcome.Last.Format(time.DateOnly))
		}
		if outcome.Skipped > 0 {
			a.screen.notef("%d people were in use all the time; they are looked at next time", outcome.Skipped)
		}
		if outcome.Unreadable > 0 {
			a.screen.notef("%d blobs do not open and were left alone; see mahrem doctor", outcome.Unreadable)
		}
		document := retentionDocument{
			At: outcome.At.Truncate(time.Second), People: outcome.People, Changed: outcome.Changed, Counts: outcome.Counts,
			Skipped: outcome.Skipped, Unreadable: outcome.Unreadable, LastRun: optional(outcome.Last.Truncate(time.Second)), Overdue: outcome.Overdue,
		}
		if verb == "run" {
			document.Run = hex.EncodeToString(outcome.Run[:])
		}
		return a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "%d people looked at, something has had its period of %d\n", outcome.People, outcome.Changed)
			if len(outcome.Counts) == 0 {
				return
			}
			goes := map[string]string{"plan": "would go", "run": "destroyed"}[verb]
			t := table{header: []string{"category", "what", goes, "kept by a hold"}}
			for _, c := range outcome.Counts {
				category := string(c.Category)
				if category == "" {
					category = "–"
				}
				t.add(category, c.What, fmt.Sprint(c.Destroyed), fmt.Sprint(c.Held))
			}
			t.writeTo(w, "")
		})
	})
	a.jsonFlag(cmd)
	return cmd
}

// reportDocument is a report with where it is.
type reportDocument struct {
	Report *retention.Report `json:"report"`
	Note   string            `json:"note"`
	Log    *logPointer       `json:"log,omitempty"`
}

func (a *app) retentionReport() *cobra.Command {
	var language, out, verify string
	check := false
	cmd := &cobra.Command{
		Use: "report", Short: "Write the signed report of the periodic destruction", Args: cobra.NoArgs,
		Long: `Write the record of all that was destroyed since the last report: by category and kind, with
the erasures, the legal holds in force, and whether every run was in time (KVKK by-law on
erasure, Articles 7(3) and 11: at most six months). It is a text that a lawyer can read, in
English, Turkish or Czech, signed with the log's key as a C2SP note, and names nobody.

With --check nothing is written: the exit code says whether a run or the report is overdue.
With --verify FILE a report that was written before is checked against the log's key.`,
		Example: `  mahrem retention report --language tr --out imha-2026-1.txt
  mahrem retention report --check
  mahrem retention report --verify imha-2026-1.txt`,
	}
	flags := cmd.Flags()
	flags.StringVar(&language, "language", "en", "en, tr or cs")
	flags.StringVar(&out, "out", "", "file to write; it must not exist (default: print)")
	flags.BoolVar(&check, "check", false, "only look whether a run or the report is overdue")
	flags.StringVar(&verify, "verify", "", "check a report that was written before")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if check && (verify != "" || out != "") || verify != "" && out != "" {
			return usagef("--check, --verify and --out exclude one another")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		switch {
		case verify != "":
			return a.verifyReport(verify, func(signed []byte) (*retention.Report, error) {
				verifier, err := audit.NewVerifier(retention.SignerName(house.Settings.Origin), house.Keys.LogPublicKey())
				if err != nil {
					return nil, err
				}
				return retention.ParseReport(signed, verifier)
			})
		case check:
			status, err := house.Retention.Status(cmd.Context())
			if err != nil {
				return err
			}
			return a.printStatus(status)
		}
		report, note, receipt, err := house.Retention.Report(cmd.Context(), operator(), language)
		if errors.Is(err, privacy.ErrNotFound) {
			return fmt.Errorf("nothing to report; run: mahrem retention run: %w", err)
		}
		if err != nil {
			return err
		}
		if report.Overdue {
			a.screen.notef("a run or this report is late, and the report says so")
		}
		if out != "" {
			if err := writeNew(out, string(note), 0o600); err != nil {
				return err
			}
		}
		leaf := receipt.LeafHash()
		document := reportDocument{report, string(note), &logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}}
		return a.screen.print(document, func(w io.Writer) {
			if out != "" {
				_, _ = fmt.Fprintf(w, "written to %s, log entry %d\n", out, receipt.Index())
				return
			}
			_, _ = w.Write(note)
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) verifyReport(path string, parse func([]byte) (*retention.Report, error)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading report: %w", err)
	}
	defer func() { _ = file.Close() }()
	signed, err := io.ReadAll(io.LimitReader(file, retention.MaxReport+1))
	if err != nil {
		return fmt.Errorf("reading report: %w", err)
	}
	report, err := parse(signed)
	if err != nil {
		return err
	}
	return a.screen.print(reportDocument{Report: report, Note: string(signed)}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "OK, destruction from %s to %s, signed by the log of %s\n",
			report.Destruction.From.Format(time.DateOnly), report.Destruction.To.Format(time.DateOnly), report.Origin)
	})
}

// errOverdue is the answer of --check when law is not kept.
var errOverdue = errors.New("the periodic destruction or its report is overdue; run: mahrem retention run, then mahrem retention report")

func (a *app) printStatus(s retention.Status) error {
	document := struct {
		LastRun    *time.Time `json:"last_run,omitempty"`
		LastReport *time.Time `json:"last_report,omitempty"`
		Every      string     `json:"every"`
		Overdue    bool       `json:"overdue"`
	}{optional(s.LastRun.Truncate(time.Second)), optional(s.LastReport.Truncate(time.Second)), s.Every.String(), s.Overdue}
	err := a.screen.print(document, func(w io.Writer) {
		t := table{}
		for _, line := range []struct {
			name string
			at   *time.Time
		}{{"last run", document.LastRun}, {"last report", document.LastReport}} {
			text := "none"
			if line.at != nil {
				text = line.at.Format(time.RFC3339)
			}
			t.add(line.name, text)
		}
		t.add("due every", document.Every)
		t.writeTo(w, "")
	})
	if err == nil && s.Overdue {
		return errOverdue
	}
	return err
}
