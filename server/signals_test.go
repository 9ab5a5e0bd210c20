package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/privacy"
)

const signalsBody = `{"data_subject":{"identifier":{"kind":"customer_number","value":"C-1"}},"signals":{"sec_gpc":["1"],"tcf":"CO+++"}}`

type fakeSignals struct{ *fake }

func (f fakeSignals) Record(_ context.Context, _ privacy.Principal, seen signal.Sighting) ([]signal.Result, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.lastSighting = seen
	result := signal.Result{Purpose: "audience_sync", Signal: signal.GPC, Outcome: signal.Recorded, Action: consent.Objected}
	if !f.unlogged {
		result.Receipt = consent.Receipt{Added: consent.Added{Receipt: receipt(42)}, Token: consent.NewToken(receipt(42))}
	}
	return []signal.Result{result, {Purpose: "audience_sync", Signal: signal.TCF, Outcome: signal.NotUnderstood}}, nil
}

// TestSignalsOfAQuery: whatever a visitor sent reaches the gate as it was understood, and what
// was not is counted and no error.
func TestSignalsOfAQuery(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	body := strings.TrimSuffix(queryBody, "}") + `,"signals":{"sec_gpc":["0","1"],"tcf":"` + strings.Repeat("C", 20_000) + `","gpp":"DBABTA~1YYN","consent_mode":{"ad_storage":"maybe"}}}`
	call := request{method: "POST", target: "/v1/query", token: "service", contentType: "application/json", body: body}
	for range 2 {
		mustStatus(t, do(s, call), http.StatusOK)
	}
	got := f.lastQuery.Signals
	if got == nil || !got.GPC || got.GPP == nil || got.TCF != nil {
		t.Fatalf("%+v", got)
	}
	if diff := cmp.Diff([]string{"consent_mode.value", "tcf.too_long"}, got.Checks()); diff != "" {
		t.Error(diff)
	}
	metrics := do(s, request{method: "GET", target: "/metrics"}).Body.String()
	for _, line := range []string{`mahrem_signals_rejected_total{signal="tcf",reason="too_long"} 2`, `mahrem_signals_rejected_total{signal="consent_mode",reason="value"} 2`} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	mustStatus(t, do(s, request{method: "POST", target: "/v1/query", token: "service", contentType: "application/json", body: queryBody}), http.StatusOK)
	if f.lastQuery.Signals != nil {
		t.Error("signals where none were sent")
	}
	// The shape is the caller's to get right.
	for _, bad := range []string{`"signals":{"sec_gpc":"1"}`, `"signals":{"tcf":1}`, `"signals":{"dnt":"1"}`, `"signals":{"consent_mode":{"x":"y"}}`} {
		call.body = strings.TrimSuffix(queryBody, "}") + "," + bad + "}"
		mustStatus(t, do(s, call), http.StatusUnprocessableEntity)
	}
}

func TestRecordSignals(t *testing.T) {
	t.Parallel()
	f := &fake{}
	s := newServer(f, Config{})
	body := consentOf("service", strings.TrimSuffix(signalsBody, "}")+`,"notice_version":"n-1","evidence_ref":"cmp/1","language":"cs","jurisdiction":"CZ"}`)
	answer := do(s, request{method: "POST", target: "/v1/signals", token: "service", contentType: "application/json", body: body})
	mustStatus(t, answer, http.StatusOK)
	const want = `{"results":[{"purpose":"audience_sync","signal":"gpc","outcome":"recorded","action":"objected","log":{"index":42,` +
		`"leaf_hash":"ab00cd0000000000000000000000000000000000000000000000000000000000"}},{"purpose":"audience_sync","signal":"tcf",` +
		`"outcome":"not_understood"}],"rejected":[{"signal":"tcf","reason":"alphabet"}],"consent_token":"AQAAAAAAAAAq"}`
	if got := strings.TrimSpace(answer.Body.String()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	seen := f.lastSighting
	if seen.DataSubject != person || seen.NoticeVersion != "n-1" || seen.EvidenceRef != "cmp/1" || seen.Language != "cs" || seen.Jurisdiction != "CZ" || !seen.Reading.GPC {
		t.Errorf("%+v", seen)
	}
	if !json.Valid(answer.Body.Bytes()) {
		t.Error("not JSON")
	}
	f.unlogged = true
	mustStatus(t, do(s, request{method: "POST", target: "/v1/signals", token: "service", contentType: "application/json", body: body}), http.StatusInternalServerError)
}

func TestGPCSupport(t *testing.T) {
	t.Parallel()
	answer := do(newServer(&fake{}, Config{}), request{method: "GET", target: "/.well-known/gpc.json"})
	mustStatus(t, answer, http.StatusOK)
	if got := answer.Body.String(); got != `{"gpc":true,"lastUpdate":"2026-11-22"}`+"\n" || answer.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", got, answer.Header())
	}
}
