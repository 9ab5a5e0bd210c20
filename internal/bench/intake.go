package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// FileLoader brings a file in.
type FileLoader interface {
	Load(ctx context.Context, source intake.Source, mapping *intake.Mapping, options intake.Options) (intake.Summary, error)
}

// IntakeConfig says what [Intake] measures.
type IntakeConfig struct {
	// Loader is required.
	Loader FileLoader
	// Lines of the file; zero means 200,000.
	Lines int
	// People in it; zero means one for every 30 lines.
	People int
	// Progress is shown while it loads; nil means that nobody looks.
	Progress intake.Progressor
}

// IntakeReport is the outcome.
type IntakeReport struct {
	Machine  Machine       `json:"machine"`
	Lines    int64         `json:"lines"`
	People   int64         `json:"people"`
	Bytes    int64         `json:"bytes"`
	Duration time.Duration `json:"duration_ns"`
	// Rate is lines sealed and committed per second.
	Rate float64 `json:"rate"`
	// Peak is the largest resident set while it loaded, of this process alone.
	Peak uint64 `json:"peak_memory_bytes"`
	// Again is how long the same file took the second time, when nothing was new.
	Again time.Duration `json:"again_ns"`
}

// benchMapping is a retail line: who, what, when, for how much.
const benchMapping = `version: 1
source: bench-%d
jurisdiction: TR
identifiers:
  - {kind: customer_number, column: customer, prefix: bench-}
events:
  - type: purchase
    stream: purchases
    at: {column: bought_at, layout: rfc3339}
    id: [receipt, line]
    fields:
      product_group: {column: group}
      product: {column: product}
      amount: {column: amount}
`

// Intake measures how fast retail lines are sealed and committed.
func Intake(ctx context.Context, config IntakeConfig) (IntakeReport, error) {
	if config.Lines <= 0 {
		config.Lines = 200_000
	}
	if config.People <= 0 {
		config.People = max(config.Lines/30, 1)
	}
	// A source of its own makes the events new, also on a database that has seen the
	// benchmark before.
	mapping, err := intake.ParseMapping(fmt.Appendf(nil, benchMapping, time.Now().UnixNano()))
	if err != nil {
		return IntakeReport{}, fmt.Errorf("reading the benchmark's mapping: %w", err)
	}
	dir, err := os.MkdirTemp("", "mahrem-bench-")
	if err != nil {
		return IntakeReport{}, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "lines.csv")
	if err := writeLines(path, config.Lines, config.People); err != nil {
		return IntakeReport{}, fmt.Errorf("writing lines: %w", err)
	}
	source, err := intake.FileSource(path)
	if err != nil {
		return IntakeReport{}, err
	}
	options := intake.Options{Principal: privacy.Principal{ID: "bench", Role: privacy.RoleIngest}, Progress: config.Progress}
	resetPeak()
	summary, err := config.Loader.Load(ctx, source, mapping, options)
	if err != nil {
		return IntakeReport{}, err
	}
	if summary.Accepted != int64(config.Lines) || summary.NewEvents != int64(config.Lines) {
		return IntakeReport{}, fmt.Errorf("of %d lines %d were accepted and %d new", config.Lines, summary.Accepted, summary.NewEvents)
	}
	report := IntakeReport{
		Machine: ThisMachine(), Lines: summary.Rows, People: summary.Persons, Bytes: source.Size, Duration: summary.Duration, Peak: peakMemory(),
	}
	report.Rate = float64(report.Lines) / report.Duration.Seconds()
	options.Progress = nil
	again, err := config.Loader.Load(ctx, source, mapping, options)
	if err != nil {
		return IntakeReport{}, fmt.Errorf("loading again: %w", err)
	}
	report.Again = again.Duration
	return report, nil
}

// writeLines writes a file like a shop's: receipts in the order of time, so that the
// lines of one person are far apart.
func writeLines(path string, lines, people int) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	out := bufio.NewWriter(file)
	groups := []string{"fresh.fruit", "fresh.vegetables", "fresh.meat", "fresh.seafood"}
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // made-up data, the same on every run
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -90)
	if _, err := io.WriteString(out, "customer,receipt,line,bought_at,group,product,amount\n"); err != nil {
		return err
	}
	for n, receipt := 0, 0; n < lines; receipt++ {
		who := random.IntN(people)
		at := start.Add(time.Duration(float64(89*24*time.Hour) * float64(n) / float64(lines)))
		for line := range min(1+random.IntN(12), lines-n) {
			_, err := fmt.Fprintf(out, "%d,%d,%d,%s,%s,product %d,%d.%02d\n", who, receipt, line, at.Format(time.RFC3339),
				groups[random.IntN(len(groups))], random.IntN(5000), random.IntN(40), random.IntN(100))
			if err != nil {
				return err
			}
			n++
		}
	}
	return out.Flush()
}
