package bench

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
)

// TestConsent measures the consent ledger in small: that everything is measured, and that
// each figure that has a limit stands beside it.
func TestConsent(t *testing.T) {
	// By itself: the heap that it measures is that of all tests.
	url := pgtest.New(t).URL()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	subscribed := false
	report, err := Consent(t.Context(), ConsentConfig{
		OwnerURL: url, Ledger: postgres.NewConsentStore(db, newLog(t, url)), Verify: db.VerifyConsents,
		Subscribe: func(context.Context) error { subscribed = true; return nil },
		Round:     50 * time.Millisecond, Rounds: 2, People: 300, Rows: 25_000,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	limits := map[string]int{}
	for _, row := range report.Rows {
		if row.Figure <= 0 {
			t.Errorf("%+v", row)
		}
		limits[row.Measurement+" "+row.Limit]++
		if row.Unit == "MiB" && !row.Met {
			t.Errorf("%+v", row)
		}
	}
	for want, n := range map[string]int{"add >= 3000": 2, "batch ": 1, "verify <= 128": 1, "subscriber ": 1} {
		if limits[want] != n {
			t.Errorf("%d rows for %q, want %d", limits[want], want, n)
		}
	}
	if !subscribed {
		t.Error("nobody was told of anything")
	}
}

// brokenLedger takes nothing.
type brokenLedger struct{}

func (brokenLedger) Add(context.Context, consent.Record, audit.Event) (consent.Added, error) {
	return consent.Added{}, errBroken
}

func (brokenLedger) AddBatch(context.Context, []consent.Record, audit.Event) (consent.BatchResult, error) {
	return consent.BatchResult{}, nil // and says nothing
}

// TestConsentCountsNoErrors: what fails is quick, and must not be counted as such.
func TestConsentCountsNoErrors(t *testing.T) {
	t.Parallel()
	config := ConsentConfig{
		OwnerURL: pgtest.New(t).URL(), Ledger: brokenLedger{}, Round: time.Millisecond, Rounds: 1, People: 1, Rows: 10,
		Subscribe: func(context.Context) error { return nil },
		Verify: func(context.Context, func(done, total uint64)) (proof.Report, error) {
			return proof.Report{Rows: 1, Damages: make([]proof.Damage, 1)}, nil
		},
	}
	for name, want := range map[string]string{"add": "broken", "subscriber": "broken", "batch": "of which 0 were added", "verify": "1 damages"} {
		config.Only = []string{name}
		report, err := Consent(t.Context(), config)
		if err == nil || len(report.Rows) > 0 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", name, report.Rows, err)
		}
	}
	config.OwnerURL = "postgres://127.0.0.1:1/none"
	if _, err := Consent(t.Context(), config); err == nil || errors.Is(err, errBroken) {
		t.Errorf("without a database: %v", err)
	}
}
