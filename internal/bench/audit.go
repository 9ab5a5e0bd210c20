package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// AuditLog is the log that is measured; the one in PostgreSQL is.
type AuditLog interface {
	audit.Appender
	// AppendTx commits a change together with its entry.
	AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error)
	// Prove returns an entry with the proof that it is in the log, and SignCheckpoint signs
	// the log that it is proved against.
	Prove(ctx context.Context, index uint64) (audit.Inclusion, error)
	SignCheckpoint(ctx context.Context) error
}

// AuditConfig says what [Audit] measures. The database is one that is thrown away: it is
// filled with entries about nobody.
type AuditConfig struct {
	// OwnerURL reaches the database with the right to write into every table.
	OwnerURL string
	// Log is what is measured.
	Log AuditLog
	// Round is how long a round of appending takes; zero means 3 seconds. Rounds is how
	// many there are of each kind; zero means 5.
	Round  time.Duration
	Rounds int
	// Entries is how many the log has when proofs are measured; zero means 10,000,000.
	Entries uint64
	// Only names the measurements to make; without any, all of [AuditMeasurements].
	Only []string
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// AuditReport is the outcome.
type AuditReport struct {
	Machine Machine `json:"machine"`
	Rows    []Row   `json:"rows"`
}

// auditMeasurement is one thing that is measured, in a file of its own.
type auditMeasurement struct {
	name string
	run  func(ctx context.Context, config AuditConfig) ([]Row, error)
}

// auditMeasurements are made in this order: the log grows with each, and what needs a
// long one comes last.
var auditMeasurements = []auditMeasurement{
	{"append", measureAppend},
	{"snapshot", measureSnapshot},
	{"change", measureChange},
	{"proof", measureProof},
	{"verify", measureVerify},
}

// AuditMeasurements names the measurements.
func AuditMeasurements() []string {
	names := make([]string, len(auditMeasurements))
	for i, m := range auditMeasurements {
		names[i] = m.name
	}
	return names
}

// Audit measures what evidence costs.
func Audit(ctx context.Context, config AuditConfig) (AuditReport, error) {
	if config.Round <= 0 {
		config.Round = 3 * time.Second
	}
	if config.Rounds <= 0 {
		config.Rounds = 5
	}
	if config.Entries == 0 {
		config.Entries = 10_000_000
	}
	if config.Progress == nil {
		config.Progress = func(string, int, int) {}
	}
	report := AuditReport{Machine: ThisMachine()}
	for _, m := range auditMeasurements {
		if len(config.Only) > 0 && !slices.Contains(config.Only, m.name) {
			continue
		}
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
func (r AuditReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	writeRows(&b, r.Rows)
	return b.String()
}
