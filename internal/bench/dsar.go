package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/vault"
)

// DSARConfig says what [DSAR] measures. The database is one that is thrown away: it is
// filled with requests and people who do not exist.
type DSARConfig struct {
	// OwnerURL reaches the database with the right to write into every table.
	OwnerURL string
	// Queue lists requests.
	Queue RequestQueue
	// Loader brings people in.
	Loader Loader
	// Requests is how many the queue has; zero means 100,000.
	Requests int
	// Exporter, Asker and Finder export people, ask about them, and find them; Exports is
	// how many are exported, and zero means 1,000.
	Exporter Exporter
	Asker    Asker
	Finder   PeopleFinder
	Exports  int
	// Desk takes requests in, Vault seals, and Eraser makes an eraser that tells how long
	// each transaction took that destroys a key; nobody is told if watch is nil.
	Desk   RequestDesk
	Vault  *vault.Vault
	Eraser func(watch func(took time.Duration)) (Eraser, error)
	// Erasures is how many people are erased side by side; zero means 2,000.
	Erasures int
	// EraseRounds is how often people with few and with many records are erased in turn;
	// zero means 21. ManyEvents is how many many are; zero means 100,000.
	EraseRounds, ManyEvents int
	// Only names the measurements to make; without any, all of [DSARMeasurements].
	Only []string
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// DSARReport is the outcome.
type DSARReport struct {
	Machine Machine `json:"machine"`
	Rows    []Row   `json:"rows"`
}

// dsarMeasurement is one thing that is measured, in a file of its own.
type dsarMeasurement struct {
	name string
	run  func(ctx context.Context, config DSARConfig) ([]Row, error)
}

// dsarMeasurements are made in this order.
var dsarMeasurements = []dsarMeasurement{
	{"queue", measureQueue},
	{"erase", measureErase},
	{"export", measureExport},
}

// DSARMeasurements names the measurements.
func DSARMeasurements() []string {
	names := make([]string, len(dsarMeasurements))
	for i, m := range dsarMeasurements {
		names[i] = m.name
	}
	return names
}

// DSAR measures what answering data subjects costs.
func DSAR(ctx context.Context, config DSARConfig) (DSARReport, error) {
	if config.Requests <= 0 {
		config.Requests = 100_000
	}
	if config.Exports <= 0 {
		config.Exports = 1000
	}
	if config.Erasures <= 0 {
		config.Erasures = 2000
	}
	if config.EraseRounds <= 0 {
		config.EraseRounds = eraseRounds
	}
	if config.ManyEvents <= 0 {
		config.ManyEvents = manyEvents
	}
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	report := DSARReport{Machine: ThisMachine()}
	for i, m := range dsarMeasurements {
		if len(config.Only) > 0 && !slices.Contains(config.Only, m.name) {
			continue
		}
		config.Progress("measuring "+m.name, i, len(dsarMeasurements))
		rows, err := m.run(ctx, config)
		if err != nil {
			return report, fmt.Errorf("measuring %s: %w", m.name, err)
		}
		for _, row := range rows {
			row.Measurement, row.Met = m.name, row.Met || row.Limit == ""
			report.Rows = append(report.Rows, row)
		}
	}
	return report, nil
}

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r DSARReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	writeRows(&b, r.Rows)
	return b.String()
}
