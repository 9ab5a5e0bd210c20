package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit/bundle"
	"github.com/mahrem/mahrem/audit/tally"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/audit/wording"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

// tallyDocument is the document of audit report.
type tallyDocument struct {
	tally.Report
	CountedFrom tally.Proof `json:"counted_from"`
}

func (a *app) auditReport() *cobra.Command {
	var from, to, dir, key, csvDir, html, language string
	cmd := &cobra.Command{
		Use: "report", Short: "Say who asked what, for which purpose, how often it was refused and why", Args: cobra.NoArgs,
		Long: `Read the log from beginning to end and say who asked what in a period, for which
purpose, how often it was refused and why, what was handed over, and what else was done.
That the log is read is in the log first.

--bundle reads what audit export wrote, without a database: whoever has it comes to the
same numbers. The root hash of the log is recomputed on the way and compared with the
signed checkpoint; a log that does not lead to it, has a gap, or holds an entry of a kind
that this program does not know, gets no report. audit verify says what is wrong with it.

--from and --to are days (2026-01-31; --to includes that day) or moments (RFC 3339; --to
is before that moment), in UTC. --csv writes a file for each table into a directory, and
--html a page with plots that asks for nothing and runs nothing.`,
		Example: `  mahrem audit report --from 2026-01-01 --to 2026-03-31 --html quarter.html
  mahrem audit report --bundle audit-2026 --key log.vkey --csv tables`,
	}
	by := a.actingAs(cmd, privacy.RoleAuditor)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		in, err := wording.ParseLanguage(language)
		if err != nil {
			return usagef("--language is one of en, tr, cs")
		}
		var config tally.Config
		if config.From, err = parsePeriod(from, false); err != nil {
			return usagef("--from: %w", err)
		}
		if config.To, err = parsePeriod(to, true); err != nil {
			return usagef("--to: %w", err)
		}
		if !config.To.IsZero() && !config.From.Before(config.To) {
			return usagef("--from must come before --to")
		}
		if dir == "" && key != "" {
			return usagef("--key is for --bundle: the log in the database has its own")
		}
		progress := newBar(a.screen.err, "reading", "entries", -1)
		config.Progress = func(done, total uint64) { progress.set(int64(done), int64(total)) }
		report, proof, err := a.report(cmd.Context(), dir, key, config, by)
		progress.finish()
		if err != nil {
			return err
		}
		if csvDir != "" {
			if err := writeTables(csvDir, report); err != nil {
				return err
			}
		}
		if html != "" {
			if err := writeOut(html, func(w io.Writer) error { return report.WriteHTML(w, proof, in) }); err != nil {
				return fmt.Errorf("--html: %w", err)
			}
		}
		return a.screen.print(tallyDocument{report, proof}, func(w io.Writer) { writeReport(w, &report, proof, in) })
	}
	flags := cmd.Flags()
	flags.StringVar(&from, "from", "", "first day or moment; the beginning of the log without it")
	flags.StringVar(&to, "to", "", "last day, or the moment that is no more part of it; the end of the log without it")
	flags.StringVar(&dir, "bundle", "", "read this bundle instead of the database")
	flags.StringVar(&key, "key", "", "with --bundle: the log's public key, or a file with it, from somebody whom you trust")
	flags.StringVar(&csvDir, "csv", "", "write a file for each table into this directory")
	flags.StringVar(&html, "html", "", "write a page to this new file")
	flags.StringVar(&language, "language", "en", "of what is printed and of the page: en, tr, cs")
	a.jsonFlag(cmd)
	return cmd
}

// parsePeriod reads a day or a moment. The end of a period includes the day that is named.
func parsePeriod(text string, end bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, errors.New("must be a day such as 2026-01-31 or a moment such as 2026-01-31T12:00:00Z")
	}
	if end {
		day = day.AddDate(0, 0, 1)
	}
	return day, nil
}

func (a *app) report(ctx context.Context, dir, key string, config tally.Config,
	by func(*assembly.House) (privacy.Principal, error),
) (tally.Report, tally.Proof, error) {
	if dir != "" {
		return a.reportBundle(ctx, dir, key, config)
	}
	house, principal, err := a.openAs(ctx, by)
	if err != nil {
		return tally.Report{}, tally.Proof{}, err
	}
	defer a.close(house)
	return house.ReportLog(ctx, principal, config)
}

func (a *app) reportBundle(ctx context.Context, dir, key string, config tally.Config) (tally.Report, tally.Proof, error) {
	b, err := a.openBundle(ctx, dir, key)
	if errors.Is(err, fs.ErrNotExist) {
		return tally.Report{}, tally.Proof{}, usagef("there is no bundle in %s: %w", dir, err)
	}
	if err != nil {
		return tally.Report{}, tally.Proof{}, err
	}
	config.Begin = b.Range().Begin
	if b.Range().End >= b.Checkpoint().Size { // an archive may end before its checkpoint
		config.Checkpoint = b.Checkpoint()
	}
	return tally.Read(ctx, b, config)
}

// openBundle opens a bundle under a public key, or a file with one; without it under the
// key that lies in the bundle, which is said.
func (a *app) openBundle(ctx context.Context, dir, key string) (*bundle.Bundle, error) {
	if key == "" {
		a.screen.notef("the key is the one that lies in the bundle: it shows that the bundle is one piece, not whose it is; --key takes the log's own")
		return bundle.Open(ctx, bundle.Dir(dir), nil)
	}
	keys, err := keyTexts(key)
	if err != nil {
		return nil, usagef("--key: %w", err)
	}
	return verdict.OpenBundle(ctx, dir, verdict.Options{Keys: keys})
}

// writeOut writes a file that must not be there yet. One that cannot be finished is taken
// away again.
func writeOut(path string, write func(w io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return usagef("%w", err)
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		_ = os.Remove(path)
		return err
	}
	return nil
}

// writeTables writes a file for each table, as they stand in the log, for programs.
func writeTables(dir string, report tally.Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usagef("--csv: %w", err)
	}
	for _, table := range report.Tables("") {
		if err := writeOut(filepath.Join(dir, table.Name+".csv"), table.WriteCSV); err != nil {
			return fmt.Errorf("--csv: %w", err)
		}
	}
	return nil
}

// writeReport prints the tables that have something in them. What happened when is in the
// page and in the files: a terminal is too short for it.
func writeReport(w io.Writer, report *tally.Report, proof tally.Proof, language wording.Language) {
	head := table{}
	for _, line := range report.Summary(language) {
		head.add(line[0], line[1])
	}
	head.writeTo(w, "")
	for _, line := range proof.Text(language) {
		_, _ = fmt.Fprintln(w, line)
	}
	for _, t := range report.Tables(language) {
		if len(t.Rows) == 0 || t.Name == "moments" {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s\n\n", t.Title)
		out := table{}
		for _, column := range t.Columns {
			out.header = append(out.header, column.Title)
		}
		for _, row := range t.Rows {
			out.add(row...)
		}
		out.writeTo(w, "  ")
		if t.More > 0 {
			_, _ = fmt.Fprintln(w, "  "+strings.TrimSpace(tally.MoreText(t.More, language)))
		}
	}
}
