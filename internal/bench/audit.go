package bench

import (
	"context"
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

// auditMeasurements are made in this order: the log grows with each, and what needs a
// long one comes last.
var auditMeasurements = []measurement[AuditConfig]{
	{"append", measureAppend},
	{"snapshot", measureSnapshot},
	{"change", measureChange},
	{"proof", measureProof},
	{"verify", measureVerify},
}

// AuditMeasurements names the measurements.
func AuditMeasurements() []string { return namesOf(auditMeasurements) }

// Audit measures what evidence costs.
func Audit(ctx context.Context, config AuditConfig) (Report, error) {
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
		config.Progress = nobody
	}
	return measure(ctx, config, auditMeasurements, config.Only, unheard)
}
