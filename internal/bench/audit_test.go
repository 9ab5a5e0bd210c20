package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/vault/keydir"
)

// newLog opens a log in the database, as the product does.
func newLog(t *testing.T, url string) *postgres.AuditLog {
	t.Helper()
	dir := t.TempDir() + "/keys"
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, ConnectTimeout: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	log, err := postgres.OpenAuditLog(t.Context(), db, postgres.AuditConfig{
		Origin: "example.com/bench", PublicKey: keys.LogPublicKey(), Sign: keys.SignLog, SignEvery: -1, Actor: keys.ActorTag,
		Deadline: 5 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close(context.WithoutCancel(t.Context())) })
	return log
}

// TestAudit measures the log in small: that everything is measured, and that each figure
// that has a limit stands beside it.
func TestAudit(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	report, err := Audit(t.Context(), AuditConfig{
		OwnerURL: url, Log: newLog(t, url), Round: 50 * time.Millisecond, Rounds: 2,
		Entries: 150_000, Only: []string{"append", "snapshot", "change", "proof"},
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
	}
	for _, want := range []string{"append >= 10000", "append >= 30000", "append <= 10", "snapshot >= 0.9", "change >= 2500", "proof <= 2"} {
		if limits[want] < 1 {
			t.Errorf("%d rows for %q", limits[want], want)
		}
	}
}

// brokenLog appends nothing.
type brokenLog struct{ AuditLog }

var errBroken = errors.New("broken")

func (brokenLog) Append(context.Context, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, errBroken
}

func (brokenLog) AppendTx(context.Context, audit.Event, func(context.Context, pgx.Tx) error) (audit.Receipt, error) {
	return audit.Receipt{}, errBroken
}

// TestAuditCountsNoErrors: what fails is quick, and must not be counted as such.
func TestAuditCountsNoErrors(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	for _, name := range []string{"append", "snapshot", "change"} {
		config := AuditConfig{OwnerURL: url, Log: brokenLog{}, Round: time.Millisecond, Rounds: 1, Only: []string{name}}
		if report, err := Audit(t.Context(), config); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v, %v", name, report.Rows, err)
		}
	}
}
