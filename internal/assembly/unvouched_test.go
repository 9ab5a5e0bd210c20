package assembly

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/internal/config"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/internal/witnesstest"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

// TestNoAnswersWithoutWitnesses: where witnesses are required, their absence keeps data in the
// house and nothing else, says by name why, and ends by itself.
func TestNoAnswersWithoutWitnesses(t *testing.T) {
	t.Parallel()
	settings, err := config.Load(t.TempDir(), func(string) string { return "" }, config.Config{Patience: 30, DatabaseURL: pgtest.NewEmpty(t).URL()})
	if err != nil {
		t.Fatal(err)
	}
	options := Options{Logger: slog.New(slog.DiscardHandler), SignEvery: 50 * time.Millisecond}
	first, err := Init(t.Context(), settings, options, operator)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := audit.NewVerifier(settings.Origin, first.Keys.LogPublicKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	watcher := witnesstest.New(t, "watcher.example/w", verifier)
	settings.Signing.Witnesses = filepath.Join(t.TempDir(), "witnesses.policy")
	if err := os.WriteFile(settings.Signing.Witnesses, []byte(watcher.Policy("watcher")), 0o600); err != nil {
		t.Fatal(err)
	}
	settings.Signing.WitnessRequired, settings.Signing.WitnessAlarm = true, time.Second

	// It begins without a witness, and longer than it may: no answer slips out at the start.
	watcher.Leave()
	time.Sleep(1100 * time.Millisecond)
	house, err := Open(t.Context(), settings, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = house.Close(context.WithoutCancel(t.Context())) })
	const line = `{"identifiers":[{"kind":"customer_number","value":"K-1"}],"jurisdiction":"CZ","attributes":{"first_name":"Jana"}}`
	if result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(line), intake.StreamOptions{Principal: operator}); err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	api, err := house.Server(server.Config{Log: options.Logger})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(api)
	t.Cleanup(web.Close)
	shop, err := house.Tokens.Mint(privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "web_shop"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path, body string) (int, http.Header, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "POST", web.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+shop.Token)
		request.Header.Set("Content-Type", "application/json")
		if strings.HasSuffix(path, ":batch") {
			request.Header.Set("Content-Type", "application/x-ndjson")
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, response.Header, string(content)
	}
	const question = `{"data_subject":{"identifier":{"kind":"customer_number","value":"K-1"}},"purpose":"greeting","channel":"web","attributes":["first_name"]}`
	size := func() uint64 {
		t.Helper()
		n, err := house.Log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	refused := func(when string) {
		t.Helper()
		before := size()
		for _, path := range []string{"/v1/query", "/v1/query:batch"} {
			status, header, body := ask(path, question)
			var problem struct {
				Type   string `json:"type"`
				Status int    `json:"status"`
			}
			if err := json.Unmarshal([]byte(body), &problem); err != nil || problem.Type != "urn:mahrem:problem:log-unvouched" || problem.Status != http.StatusServiceUnavailable {
				t.Errorf("%s, %s: %d %s", when, path, status, body)
			}
			if path == "/v1/query" && (status != http.StatusServiceUnavailable || header.Get("Retry-After") == "") {
				t.Errorf("%s: status %d, %v", when, status, header)
			}
			if strings.Contains(body, "Jana") {
				t.Errorf("%s, %s: data left: %s", when, path, body)
			}
		}
		for _, kind := range kindsSince(t, house, before) {
			if kind == audit.QueryAnswered {
				t.Errorf("%s: the log says that it was answered", when)
			}
		}
	}
	refused("at the start")

	// The witness is there: nobody has to do anything.
	tended := house.Tending(t.Context())
	t.Cleanup(func() { <-tended })
	answered := func(when string) {
		t.Helper()
		for until := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
			before := size()
			status, _, body := ask("/v1/query", question)
			if status == http.StatusOK && strings.Contains(body, "Jana") {
				if kinds := kindsSince(t, house, before); len(kinds) == 0 {
					t.Errorf("%s: an answer without an entry", when)
				}
				return
			}
			if time.Now().After(until) {
				t.Fatalf("%s: %d %s", when, status, body)
			}
		}
	}
	if err := watcher.Return(); err != nil {
		t.Fatal(err)
	}
	answered("with the witness")

	// It goes away. What people decide and ask for is taken all the same.
	watcher.Leave()
	if _, err := house.Log.Append(t.Context(), audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done}); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(2 * time.Minute); !house.signing.late.Load(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the gate never closed")
		}
	}
	refused("without the witness")
	before := size()
	const other = `{"identifiers":[{"kind":"customer_number","value":"K-2"}],"jurisdiction":"CZ","attributes":{"first_name":"Eva"}}`
	if result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(other), intake.StreamOptions{Principal: operator}); err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	if size() == before {
		t.Error("loading left nothing in the log")
	}
	if check := house.checkpointCheck(t.Context()); check.Err == nil {
		t.Errorf("ready all the same: %s", check.Detail)
	}

	if err := watcher.Return(); err != nil {
		t.Fatal(err)
	}
	answered("with the witness again")
	if report, err := house.VerifyLog(t.Context(), nil); err != nil || !report.Whole() {
		t.Errorf("the log is not whole: %+v, %v", report.Damages, err)
	}
	if last := house.LastCosigned(t.Context()); last.Entries == 0 || last.By[0] != "watcher" || last.Quorum == QuorumNone {
		t.Errorf("last cosigned: %+v", last)
	}
}
