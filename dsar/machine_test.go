package dsar_test

import (
	"slices"
	"testing"

	"github.com/mahrem/mahrem/dsar"
)

func TestMachineIsWhole(t *testing.T) {
	t.Parallel()
	states := []dsar.State{
		dsar.Received, dsar.IdentityPending, dsar.InProgress, dsar.Extended, dsar.Fulfilled, dsar.Denied, dsar.Withdrawn,
	}
	seen := map[dsar.Action]bool{}
	reached := map[dsar.State]bool{}
	for _, rule := range dsar.Machine() {
		if seen[rule.Action] {
			t.Errorf("%s has two rules", rule.Action)
		}
		seen[rule.Action] = true
		reached[rule.To] = true
		if rule.Event == "" || len(rule.By) == 0 || (len(rule.From) == 0) != (rule.Action == dsar.ActionOpen) {
			t.Errorf("%s: %+v", rule.Action, rule)
		}
		for _, from := range rule.From {
			if !slices.Contains(states, from) {
				t.Errorf("%s begins in %q", rule.Action, from)
			}
			if from.Closed() && rule.To != "" {
				t.Errorf("%s opens a request again that is %s", rule.Action, from)
			}
		}
	}
	for _, state := range states {
		if !reached[state] {
			t.Errorf("nothing leads to %s", state)
		}
	}
	// What is handed out cannot be used to change the machine.
	dsar.Machine()[1].From[0] = dsar.Fulfilled
	if dsar.Machine()[1].From[0] == dsar.Fulfilled {
		t.Error("the machine can be changed from outside")
	}
}

func TestDenialReasons(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		regime string
		kind   dsar.Kind
		reason dsar.DenialReason
		want   string
	}{
		{"gdpr_cz", dsar.Erasure, dsar.ClaimNotCovered, "GDPR Article 17(3)"},
		{"gdpr_eu", dsar.Access, dsar.TooManyRequests, "GDPR Article 12(5)(b)"},
		{"gdpr_de", dsar.Access, dsar.InsufVerification, "GDPR Articles 12(2) and 12(6)"},
		{"uk_scotland", dsar.Objection, dsar.ClaimNotCovered, "UK GDPR Article 21(1)"},
		{"kvkk", dsar.Erasure, dsar.ClaimNotCovered, "KVKK Articles 7(1)-(2) and 28"},
		{"kvkk", dsar.Access, dsar.OtherReason, "KVKK Article 13(3)"},
		{"kvkk", dsar.Access, dsar.TooManyRequests, ""},
		{"ccpa", dsar.Erasure, dsar.ClaimNotCovered, "Cal. Civ. Code 1798.105(d)"},
		{"ccpa", dsar.Access, dsar.InsufVerification, "11 CCR 7021(b)"},
		{"lgpd", dsar.Access, dsar.TooManyRequests, ""},
		{"lgpd", dsar.Erasure, dsar.ClaimNotCovered, "LGPD Article 16"},
		{"gdpr_cz", dsar.Access, "because", ""},
		{"gdpr_cz", dsar.Access, "", ""},
		{"gdprx", dsar.Access, dsar.NoMatch, ""},
		{"", dsar.Access, dsar.NoMatch, ""},
	} {
		got, ok := c.reason.Article(c.regime, c.kind)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s, %s, %s: %q, %t", c.regime, c.kind, c.reason, got, ok)
		}
	}
	for _, reason := range dsar.DenialReasons() {
		if _, ok := reason.Article("gdpr_eu", dsar.Review); !ok || !reason.IsKnown() {
			t.Errorf("%s is no ground in the GDPR", reason)
		}
	}
}
