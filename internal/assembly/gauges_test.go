package assembly

import (
	"testing"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// TestMemoGaugesShowNoSingleDecision: who looks before and after its own question must
// not learn whether the same facts were decided before.
func TestMemoGaugesShowNoSingleDecision(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	read := func() map[string]float64 {
		values := map[string]float64{}
		for _, gauge := range house.Gauges() {
			values[gauge.Name] = gauge.Read()
		}
		return values
	}
	facts := policies.Facts{
		Action: policies.Personalize, Role: privacy.RoleService, Recipient: "web_shop", Purpose: "greeting", Channel: "web",
		Reference: policies.ByPseudonym, Trigger: policies.NoTrigger, Case: policies.NoCase,
		Subject: policies.SubjectFacts{Known: policies.Yes, Age: policies.Adult, Jurisdiction: "TR", Restricted: policies.No, Objected: policies.No, Household: policies.SingleHousehold},
		Consent: policies.ConsentFacts{State: policies.ConsentNeverAsked, Explicit: policies.No, Basis: policies.NoBasis, Incentive: policies.No},
	}
	decide := func() {
		t.Helper()
		if _, err := house.Engine.Revision().Decide(t.Context(), facts); err != nil {
			t.Fatal(err)
		}
	}
	for want := uint64(0); want == 0; {
		memo := house.Engine.Revision().Memo()
		decide()
		if memo.Hits%100 == 98 {
			want = memo.Hits
		}
	}
	before := read()
	decide()
	after := read()
	if before["mahrem_policy_memo_hits_total"]+100 != after["mahrem_policy_memo_hits_total"] {
		t.Errorf("hits went from %v to %v at the hundredth", before, after)
	}
	decide()
	if again := read(); again["mahrem_policy_memo_hits_total"] != after["mahrem_policy_memo_hits_total"] {
		t.Errorf("one question shows: %v, %v", after, again)
	}
	if ratio := after["mahrem_policy_memo_hit_ratio"]; ratio != 1 || after["mahrem_policy_memo_misses_total"] != 0 {
		t.Errorf("a hundred hits and one miss: %v", after)
	}
}

// TestGaugesDoNotCountAnAudience: of an audience a key is opened for each of the people who pass,
// and whoever asks for one may read the metrics before and after.
func TestGaugesDoNotCountAnAudience(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	keys := house.Keys.Vault()
	nobody := privacy.DataSubjectID{6: 0x40, 8: 0x80, 15: 1}
	_, wrapped, err := keys.NewPersonKey(nobody)
	if err != nil {
		t.Fatal(err)
	}
	opened := func(use vault.Use) float64 {
		t.Helper()
		var before, after float64
		gauges := house.keyUseGauges()
		for _, gauge := range gauges {
			before += gauge.Read()
		}
		for range 1000 {
			if _, err := keys.OpenPersonKey(nobody, wrapped, use); err != nil {
				t.Fatal(err)
			}
		}
		for _, gauge := range gauges {
			after += gauge.Read()
		}
		return after - before
	}
	for _, use := range []vault.Use{vault.UseProfile, vault.UseRoom} {
		if n := opened(use); n != 0 {
			t.Errorf("1,000 keys that are opened as %s are %v in the metrics", use, n)
		}
	}
	if n := opened(vault.UseQuery); n != 1000 {
		t.Errorf("1,000 keys that are opened for questions are %v in the metrics", n)
	}
}
