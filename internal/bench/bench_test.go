package bench

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
	"github.com/mahrem/mahrem/server"
	"github.com/mahrem/mahrem/server/token"
	"github.com/mahrem/mahrem/vault/keydir"
)

// house is what package assembly puts together for everybody else.
type house struct {
	log     *postgres.AuditLog
	loader  *intake.Loader
	handler *server.Server
	fixture *server.Server
	token   string
	engine  *policies.Engine
	gate    *gate.Gate
	refresh func(context.Context) error
	conns   int32
}

func newHouse(t testing.TB, url string) *house {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := filepath.Join(t.TempDir(), "keys")
	check(keydir.Create(dir, keydir.Config{}))
	keys, err := keydir.Open(dir, keydir.Config{})
	check(err)
	_, err = keys.EnsureRecipient(Recipient)
	check(err)
	cipher, err := keys.Recipient(Recipient)
	check(err)
	names, err := pseudonym.New(Recipient, cipher)
	check(err)
	h := &house{conns: 16}
	db, err := postgres.Open(ctx, postgres.Config{URL: url, MaxConns: h.conns, ConnectTimeout: 5 * time.Minute})
	check(err)
	t.Cleanup(db.Close)
	h.log, err = postgres.OpenAuditLog(ctx, db, postgres.AuditConfig{
		Origin: "example.com/bench", PublicKey: keys.LogPublicKey(), Sign: keys.SignLog, SignEvery: -1, Actor: keys.ActorTag,
		Deadline: 5 * time.Minute,
	})
	check(err)
	t.Cleanup(func() { _ = h.log.Close(ctx) })
	h.engine, err = openPolicies()
	check(err)
	h.loader = intake.New(postgres.NewIntakeStore(db, h.log), keys.Vault(), intake.NewWords(func() *policies.Catalogue { return h.engine.Revision().Catalogue() }), nil, intake.Config{})
	tokens, err := token.New(keys.TokenKeyset(), token.Config{})
	check(err)
	minted, err := tokens.Mint(privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: Recipient}, time.Hour)
	check(err)
	h.token = minted.Token
	asker := gate.New(postgres.NewGateStore(db, h.log), h.engine, keys.Vault(), of{names}, h.log, gate.Config{Audiences: postgres.NewAudienceStore(db), Crowds: postgres.NewProfileStore(db), CrowdWait: time.Minute})
	refresher := gate.NewRefresher(postgres.NewProfileStore(db), h.engine, keys.Vault(), gate.RefresherConfig{})
	h.gate, h.refresh = asker, func(ctx context.Context) error { _, err := refresher.RefreshAll(ctx, nil); return err }
	h.handler = server.New(server.Services{Tokens: tokens, Gate: asker, Evaluator: asker}, server.Config{Log: slog.New(slog.DiscardHandler), RequestTimeout: 5 * time.Minute})
	conformance, err := policies.OpenConformance(ctx)
	check(err)
	h.fixture = server.New(server.Services{Tokens: tokens, Access: conformance}, server.Config{Log: slog.New(slog.DiscardHandler), RequestTimeout: 5 * time.Minute})
	return h
}

// openPolicies compiles the bundle once for all tests.
var openPolicies = sync.OnceValues(func() (*policies.Engine, error) {
	return policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
})

type of struct{ names *pseudonym.Pseudonyms }

func (o of) Of(privacy.RecipientID) (*pseudonym.Pseudonyms, error) { return o.names, nil }

// TestAuthZEN measures the evaluations alone. With MAHREM_BENCH_AUTHZEN=1 it does so in
// full, on a temporary cluster with fsync on.
func TestAuthZEN(t *testing.T) {
	access := &AccessConfig{Number: 100, Clients: [2]int{2, 4}}
	config := PolicyConfig{Access: access, Only: []string{"authzen"}, Time: 100 * time.Millisecond}
	url := ""
	if os.Getenv("MAHREM_BENCH_AUTHZEN") != "" {
		url, access.Number, access.Clients, config.Time = temporaryCluster(t), 0, [2]int{}, 0
	} else {
		url = pgtest.New(t).URL()
	}
	h := newHouse(t, url)
	access.Fixture, access.People, access.Token, access.Loader, access.LogSize = h.fixture, h.handler, h.token, h.loader, h.log.Size
	report, err := Policy(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	if len(report.Rows) != 3 {
		t.Fatalf("%d rows", len(report.Rows))
	}
	for _, row := range report.Rows {
		if row.Figure <= 0 || row.Measurement != "authzen" {
			t.Errorf("%+v", row)
		}
	}
	access.Token = "nobody"
	if _, err := Policy(t.Context(), config); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("with a bad token: %v", err)
	}
}

// temporaryCluster is one of its own, with fsync on.
func temporaryCluster(t *testing.T) string {
	t.Helper()
	pg, err := localpg.Start(t.Context(), localpg.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pg.Close() })
	if _, err := postgres.Migrate(t.Context(), pg.URL()); err != nil {
		t.Fatal(err)
	}
	return pg.URL()
}

// TestGate runs the comparison in small: that it measures, that it refuses to count
// wrong answers, and that it leaves nothing behind. With MAHREM_BENCH_GATE=1 it runs it
// in full on a temporary cluster, with fsync on, and prints the table.
func TestGate(t *testing.T) {
	ctx := context.Background()
	config := GateConfig{People: 30, Clients: []int{1, 4}, Rounds: 2, RoundTime: 60 * time.Millisecond}
	url := ""
	if os.Getenv("MAHREM_BENCH_GATE") != "" {
		url = temporaryCluster(t)
		config = GateConfig{}
		if n, err := strconv.Atoi(os.Getenv("MAHREM_BENCH_CLIENTS")); err == nil {
			config.Clients = []int{n}
		}
	} else {
		url = pgtest.New(t).URL()
	}
	h := newHouse(t, url)
	config.Handler, config.Token, config.Loader, config.OwnerURL = h.handler, h.token, h.loader, url
	config.LogSize, config.MaxConns = h.log.Size, h.conns
	report, err := Gate(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s\nmemo %+v", report.Markdown(), h.engine.Revision().Memo())
	for _, row := range report.Lines {
		if row.Plain.Answers == 0 || row.Gate.Answers == 0 || row.Ratio <= 0 || row.Gate.P99 < row.Gate.P50 {
			t.Errorf("line %+v", row)
		}
	}
	if report.Entries != report.Answers {
		t.Errorf("%d entries for %d answers", report.Entries, report.Answers)
	}
	if difference := report.PlainBytes - report.AnswerBytes; difference < -40 || difference > 40 {
		t.Errorf("a plain row has %d bytes, an answer %d", report.PlainBytes, report.AnswerBytes)
	}
	config.Token = "nobody"
	if _, err := Gate(ctx, config); err == nil || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("with a bad token: %v", err)
	}
}

func TestIntake(t *testing.T) {
	ctx := context.Background()
	lines := 3000
	if n, err := strconv.Atoi(os.Getenv("MAHREM_BENCH_LINES")); err == nil {
		lines = n
	}
	h := newHouse(t, pgtest.New(t).URL())
	report, err := Intake(ctx, IntakeConfig{Loader: h.loader, Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	if report.Rate <= 0 || report.People == 0 {
		t.Errorf("report %+v", report)
	}
}
