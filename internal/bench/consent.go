package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
)

// ConsentLedger is the ledger that is measured; the one in PostgreSQL is.
type ConsentLedger interface {
	Add(ctx context.Context, r consent.Record, event audit.Event) (consent.Added, error)
	AddBatch(ctx context.Context, records []consent.Record, event audit.Event) (consent.BatchResult, error)
}

// ConsentConfig says what [Consent] measures. The database is one that is thrown away: it is
// filled with people who are none.
type ConsentConfig struct {
	// OwnerURL reaches the database with the right to write into every table.
	OwnerURL string
	// Ledger is what is measured.
	Ledger ConsentLedger
	// Verify compares the ledger with the log.
	Verify func(ctx context.Context, progress func(done, total uint64)) (proof.Report, error)
	// Subscribe adds somebody who is told of every change from then on.
	Subscribe func(ctx context.Context) error
	// Round is how long a round of changes takes; zero means 3 seconds. Rounds is how many
	// there are of each kind; zero means 5.
	Round  time.Duration
	Rounds int
	// People is how many there are; zero means 10,000.
	People int
	// Ledgers are verified with that many rows; zero means 1,000,000.
	Rows int
	// Only names the measurements to make; without any, all of [ConsentMeasurements].
	Only []string
	// Progress hears what is going on; nil means that nobody does.
	Progress func(step string, done, total int)
}

// consentMeasurements are made in this order: the ledger grows with each, and the subscriber
// stays until the end.
var consentMeasurements = []measurement[ConsentConfig]{
	{"add", measureConsentAdd},
	{"batch", measureConsentBatch},
	{"verify", measureConsentVerify},
	{"subscriber", measureConsentSubscriber},
}

// ConsentMeasurements names the measurements.
func ConsentMeasurements() []string { return namesOf(consentMeasurements) }

// Consent measures what the consent ledger costs.
func Consent(ctx context.Context, config ConsentConfig) (Report, error) {
	if config.Round <= 0 {
		config.Round = 3 * time.Second
	}
	if config.Rounds <= 0 {
		config.Rounds = 5
	}
	if config.People <= 0 {
		config.People = 10_000
	}
	if config.Rows <= 0 {
		config.Rows = 1_000_000
	}
	if config.Progress == nil {
		config.Progress = nobody
	}
	if err := addConsentPeople(ctx, config); err != nil {
		return Report{}, fmt.Errorf("adding people: %w", err)
	}
	return measure(ctx, config, consentMeasurements, config.Only, unheard)
}
