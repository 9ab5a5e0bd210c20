package policies

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mahrem/mahrem/privacy"
)

func ExamplePlan_Canonical() {
	plan := Plan{Basis: NoBasis, Failed: []string{"basis.lawful"}, Denied: []privacy.DataCategory{"contact"}}
	fmt.Printf("%s\n", plan.Canonical())
	// Output: {"v":1,"allow":false,"basis":"none","ceiling":"withheld","failed":["basis.lawful"],"granted":[],"denied":["contact"],"cleared":[],"persona":false,"obligations":[]}
}

func ExampleParseFacts() {
	written := Facts{Action: Personalize, Purpose: "greeting", Channel: "web"}
	facts, err := ParseFacts(written.Canonical())
	fmt.Println(facts.Purpose, facts.Channel, err)
	// Output: greeting web <nil>
}

// canonicalVectors are in testdata/canonical.json, for other implementations too.
type canonicalVectors struct {
	Comment string            `json:"comment"`
	Facts   []canonicalVector `json:"facts"`
	Plans   []canonicalVector `json:"plans"`
}

type canonicalVector struct {
	Name   string `json:"name"`
	Text   string `json:"canonical"`
	SHA256 string `json:"sha256"`
}

func TestCanonicalVectors(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join("testdata", "canonical.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want canonicalVectors
	if err := json.Unmarshal(content, &want); err != nil {
		t.Fatal(err)
	}
	facts, plans := vectorFacts(), vectorPlans()
	if len(want.Facts) != len(facts) || len(want.Plans) != len(plans) {
		t.Fatalf("%d facts and %d plans", len(want.Facts), len(want.Plans))
	}
	for i, v := range want.Facts {
		digest := facts[i].Digest()
		if got := string(facts[i].Canonical()); got != v.Text || hex.EncodeToString(digest[:]) != v.SHA256 {
			t.Errorf("facts %s:\n got %s %x\nwant %s %s", v.Name, got, digest, v.Text, v.SHA256)
		}
		read, err := ParseFacts([]byte(v.Text))
		if diff := cmp.Diff(facts[i], read, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("facts %s: %v (-want +got):\n%s", v.Name, err, diff)
		}
	}
	for i, v := range want.Plans {
		digest := plans[i].Digest()
		if got := string(plans[i].Canonical()); got != v.Text || hex.EncodeToString(digest[:]) != v.SHA256 {
			t.Errorf("plan %s:\n got %s %x\nwant %s %s", v.Name, got, digest, v.Text, v.SHA256)
		}
		read, err := ParsePlan([]byte(v.Text))
		if diff := cmp.Diff(plans[i], read, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("plan %s: %v (-want +got):\n%s", v.Name, err, diff)
		}
	}
}

func vectorFacts() []Facts {
	full := Facts{
		Action: Personalize, Role: privacy.RoleService, Recipient: "recommender", Purpose: "recommendations", Channel: "web",
		Reference: ByPseudonym,
		Subject:   SubjectFacts{Known: Yes, Age: Adult, Jurisdiction: "CZ", Restricted: No, Objected: No, Household: SharedHousehold},
		Consent:   ConsentFacts{State: ConsentGranted, Explicit: Yes, Basis: privacy.Consent, Incentive: Yes},
		Trigger:   FreshTrigger, Case: HandledCase,
		Grants: []privacy.DataCategory{"health"}, Categories: []privacy.DataCategory{"contact", "purchases"},
	}
	return []Facts{{}, full}
}

func vectorPlans() []Plan {
	return []Plan{
		deny("basis.lawful", []privacy.DataCategory{"contact"}),
		{
			Allow: true, Basis: privacy.Consent, Ceiling: Exact, Granted: []privacy.DataCategory{"contact", "purchases"},
			Denied: []privacy.DataCategory{"health"}, Cleared: []privacy.DataCategory{"religion"}, Persona: true,
			Obligations: []ObligationID{NoSourceReference, UseBefore},
		},
		{Basis: "a \"basis\"\n", Failed: []string{`x","y`}},
	}
}

// TestCanonicalOfDecisions: whatever the rules decide about random facts is read back as
// it was written, and equal facts give equal bytes with and without the memo.
func TestCanonicalOfDecisions(t *testing.T) {
	t.Parallel()
	engine, err := Open(t.Context(), Bundle(), Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Revision()
	random := rand.New(rand.NewPCG(1, 2))
	allowed := 0
	for range 400 {
		facts := canonicalRandomFacts(r.Catalogue(), random)
		read, err := ParseFacts(facts.Canonical())
		if err != nil {
			t.Fatal(err)
		}
		first, err := r.Decide(t.Context(), facts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := r.PlanUncached(t.Context(), read)
		if err != nil || !bytes.Equal(first.Canonical(), again.Canonical()) {
			t.Fatalf("decided again: %v\n%s\n%s", err, first.Canonical(), again.Canonical())
		}
		plan, err := ParsePlan(first.Canonical())
		if diff := cmp.Diff(first, plan, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
		if plan.Allow {
			allowed++
		}
	}
	if allowed == 0 {
		t.Error("nothing was allowed, so nothing was tested")
	}
}

func canonicalRandomFacts(c *Catalogue, random *rand.Rand) Facts {
	f := vectorFacts()[1]
	f.Purpose = c.Purposes()[random.IntN(len(c.Purposes()))]
	purpose, _ := c.Purpose(f.Purpose)
	if len(purpose.Channels) > 0 {
		f.Channel = purpose.Channels[random.IntN(len(purpose.Channels))]
	}
	f.Recipient = c.Recipients()[random.IntN(len(c.Recipients()))]
	f.Subject.Jurisdiction = c.Jurisdictions()[random.IntN(len(c.Jurisdictions()))]
	f.Subject.Age = []AgeGroup{Adult, Adult, Youth, Child, AgeUnknown}[random.IntN(5)]
	f.Subject.Household = []Household{SingleHousehold, SharedHousehold}[random.IntN(2)]
	f.Trigger = []Freshness{NoTrigger, FreshTrigger, StaleTrigger}[random.IntN(3)]
	f.Categories = nil
	for _, category := range c.Categories() {
		if random.IntN(3) == 0 {
			f.Categories = append(f.Categories, category)
		}
	}
	return f
}

func TestParseRefusesOtherForms(t *testing.T) {
	t.Parallel()
	plan, facts := string((&vectorPlans()[1]).Canonical()), string((&vectorFacts()[1]).Canonical())
	for _, text := range []string{
		"", "null", "{}", plan + " ", " " + plan, plan + plan, plan[:len(plan)-1] + `,"more":1}`,
		string(bytes.Replace([]byte(plan), []byte(`"v":1`), []byte(`"v":2`), 1)),
		string(bytes.Replace([]byte(plan), []byte(`"allow":true`), []byte(`"allow":true,"allow":true`), 1)),
		string(bytes.Replace([]byte(plan), []byte(`"denied":["health"]`), []byte(`"denied":null`), 1)),
	} {
		if _, err := ParsePlan([]byte(text)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("plan %q: %v", text, err)
		}
	}
	for _, text := range []string{
		"", "null", "{}", facts + " ", facts[:len(facts)-1] + `,"more":1}`,
		string(bytes.Replace([]byte(facts), []byte(`"v":1`), []byte(`"v":2`), 1)),
		string(bytes.Replace([]byte(facts), []byte(`["contact","purchases"]`), []byte(`["purchases","contact"]`), 1)),
		string(bytes.Replace([]byte(facts), []byte(`"web"`), []byte(`"w\u0065b"`), 1)),
	} {
		if _, err := ParseFacts([]byte(text)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("facts %q: %v", text, err)
		}
	}
}

func FuzzParsePlan(f *testing.F) {
	for _, plan := range vectorPlans() {
		f.Add(plan.Canonical())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		plan, err := ParsePlan(text)
		if err == nil && !bytes.Equal(plan.Canonical(), text) {
			t.Errorf("%q is read as %q", text, plan.Canonical())
		}
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}

func FuzzParseFacts(f *testing.F) {
	for _, facts := range vectorFacts() {
		f.Add(facts.Canonical())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		facts, err := ParseFacts(text)
		if err == nil && !bytes.Equal(facts.Canonical(), text) {
			t.Errorf("%q is read as %q", text, facts.Canonical())
		}
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}
