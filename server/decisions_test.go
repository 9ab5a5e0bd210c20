package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// fakeDecisions knows the decision of receipt 42.
type fakeDecisions struct{ *fake }

func (f fakeDecisions) Show(_ context.Context, _ privacy.Principal, id audit.DecisionID) (archive.Shown, error) {
	if f.err != nil {
		return archive.Shown{}, f.err
	}
	if id != receipt(42).DecisionID() {
		return archive.Shown{}, privacy.ErrNotFound
	}
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{1} }})
	if err != nil {
		return archive.Shown{}, err
	}
	facts := policies.Facts{Action: policies.Personalize, Purpose: "newsletter", Categories: []privacy.DataCategory{"contact"}}
	entry, err := encoder.NewEntry(audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: privacy.Principal{ID: "s", Role: privacy.RoleService, Recipient: "shop"},
		Purpose: "newsletter", Channel: "email", Checks: []string{"basis.lawful"}, Policy: audit.Digest{1}, Facts: facts.Digest(),
	})
	if f.unlogged {
		return archive.Shown{ID: id, Entry: entry}, err
	}
	return archive.Shown{
		ID: id, Entry: entry, Kept: true, Facts: facts, Planned: true,
		Plan:    policies.Plan{Basis: policies.NoBasis, Failed: []string{"basis.lawful"}, Denied: []privacy.DataCategory{"contact"}},
		Reasons: []policies.Reason{{Check: "basis.lawful", Title: "A \"basis\"", Laws: []string{"GDPR-6-1"}}},
		Receipt: receipt(97),
	}, err
}

func TestShowDecision(t *testing.T) {
	t.Parallel()
	s := newServer(&fake{}, Config{})
	call := request{method: "GET", target: "/v1/decisions/" + receipt(42).DecisionID().String(), token: "auditor"}
	w := do(s, call)
	mustStatus(t, w, http.StatusOK)
	var got struct {
		ID    string          `json:"decision_id"`
		Facts json.RawMessage `json:"facts"`
		Plan  json.RawMessage `json:"plan"`
		Shown struct{ Index uint64 }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	shown, err := fakeDecisions{&fake{}}.Show(t.Context(), privacy.Principal{}, receipt(42).DecisionID())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(shown.Facts.Canonical()), string(got.Facts)); diff != "" || got.Shown.Index != 97 || got.ID != shown.ID.String() {
		t.Errorf("%s (-want +got):\n%s", w.Body, diff)
	}
	if plan, err := policies.ParsePlan(got.Plan); err != nil || plan.Failed[0] != "basis.lawful" {
		t.Errorf("the plan is not canonical: %v", err)
	}
	for target, want := range map[string]int{
		"/v1/decisions/7-" + strings.Repeat("0", 32): http.StatusNotFound,
		"/v1/decisions/x":     http.StatusNotFound,
		"/v1/decisions/42-01": http.StatusNotFound,
		"/v1/decisions/":      http.StatusNotFound,
		call.target + "?x":    http.StatusBadRequest,
		strings.Replace(call.target, "42-", "042-", 1):       http.StatusNotFound,
		call.target + "/more":                                http.StatusNotFound,
		"/v1/decisions/" + strings.Repeat("9", 40) + "-0000": http.StatusNotFound,
	} {
		w := do(s, request{method: "GET", target: target, token: "auditor"})
		mustStatus(t, w, want)
		if strings.Contains(w.Body.String(), target) {
			t.Errorf("%s is repeated", target)
		}
	}
	for _, role := range []string{"service", "ingest"} {
		mustStatus(t, do(s, request{method: "GET", target: call.target, token: role}), http.StatusForbidden)
	}
	mustStatus(t, do(s, request{method: "POST", target: call.target, token: "dpo"}), http.StatusMethodNotAllowed)
	mustStatus(t, do(newServer(&fake{unlogged: true}, Config{}), call), http.StatusInternalServerError)
	damaged := newServer(&fake{err: privacy.ErrDamaged}, Config{})
	mustStatus(t, do(damaged, call), http.StatusInternalServerError)
	mustStatus(t, do(New(Services{Tokens: &fake{}}, Config{}), call), http.StatusServiceUnavailable)
}
