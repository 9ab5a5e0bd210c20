package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/vault/keydir"
)

// newQueue is the service of requests over a database.
func newQueue(t *testing.T, url string) *dsar.Service {
	t.Helper()
	dir := t.TempDir() + "/keys"
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url, MaxConns: 4, ConnectTimeout: 5 * time.Minute})
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
	service, err := dsar.NewService(postgres.NewRequestStore(db, log), postgres.NewVaultStore(db, keys.Vault()), keys.Vault(), log, dsar.ServiceConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return service
}

// TestQueue measures the queue in small: that it is measured, that each figure stands
// beside its limit, and that a queue that lacks something is not counted.
func TestQueue(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).URL()
	service := newQueue(t, url)
	report, err := DSAR(t.Context(), DSARConfig{OwnerURL: url, Queue: service, Requests: 500, Only: []string{"queue"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	if len(report.Rows) != 4 {
		t.Fatalf("%d rows", len(report.Rows))
	}
	for _, row := range report.Rows {
		if row.Figure <= 0 || row.Measurement != "queue" || row.Limit != "<= 200" || row.Unit != "ms" {
			t.Errorf("%+v", row)
		}
	}
	other := newQueue(t, pgtest.New(t).URL())
	if _, err := DSAR(t.Context(), DSARConfig{OwnerURL: url, Queue: other, Requests: 50, Only: []string{"queue"}}); err == nil {
		t.Error("an empty queue was measured")
	}
}

func TestRowsSayWhatIsNotMet(t *testing.T) {
	t.Parallel()
	report := Report{Rows: []Row{
		Row{What: "slow", Figure: 300, Unit: "ms"}.atMost(200),
		Row{What: "quick", Figure: 12.34, Unit: "ms"}.atMost(200),
	}}
	text := report.Markdown()
	for _, want := range []string{"| slow | 300 ms | <= 200 | NOT MET |", "| quick | 12.3 ms | <= 200 |  |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
