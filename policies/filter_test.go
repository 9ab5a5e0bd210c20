package policies_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// audienceQuestions returns every purpose that admits audiences with every recipient and
// channel, and several choices of data categories.
func audienceQuestions(c *policies.Catalogue) []policies.AudienceQuestion {
	var list []policies.AudienceQuestion
	for _, id := range c.Purposes() {
		purpose, _ := c.Purpose(id)
		if !slices.Contains(purpose.Actions, policies.Audience) {
			continue
		}
		for _, recipient := range c.Recipients() {
			for _, channel := range c.Channels() {
				choices := [][]privacy.DataCategory{{"location"}}
				if slices.Contains(purpose.Channels, channel) {
					choices = [][]privacy.DataCategory{nil, {"demographics"}, {"health", "location"}, {"finances"}, c.Categories()}
				}
				for _, categories := range choices {
					list = append(list, policies.AudienceQuestion{
						Role: privacy.RoleService, Recipient: recipient, Purpose: id, Channel: channel, Categories: categories,
					})
				}
			}
		}
	}
	return list
}

// randomPerson draws a person and the state of the ledger; most facts are harmless ones.
func randomPerson(random *rand.Rand, c *policies.Catalogue) (policies.SubjectFacts, policies.ConsentFacts) {
	rarely := func() bool { return random.IntN(9) == 0 }
	s := policies.SubjectFacts{
		Known: policies.Yes, Age: policies.Adult, Jurisdiction: pick(random, c.Jurisdictions()),
		Restricted: policies.No, Objected: policies.No, Household: pick(random, households),
	}
	k := policies.ConsentFacts{
		State: policies.ConsentGranted, Explicit: pick(random, answers[:2]), Basis: privacy.Consent,
		Incentive: pick(random, answers[:2]),
	}
	if rarely() {
		s.Known = pick(random, answers)
	}
	if rarely() {
		s.Age = pick(random, ages)
	}
	if rarely() {
		s.Jurisdiction = pick(random, []privacy.Jurisdiction{policies.UnknownJurisdiction, "XX", "cz"})
	}
	if rarely() {
		s.Restricted = pick(random, answers)
	}
	if rarely() {
		s.Objected = pick(random, answers)
	}
	if random.IntN(3) == 0 {
		k.State = pick(random, append(slices.Clone(states), "unknown"))
	}
	if rarely() {
		k.Explicit = policies.Unknown
	}
	if rarely() {
		k.Basis = pick(random, append(slices.Clone(bases), privacy.LegitimateInterests, "unknown"))
	}
	if rarely() {
		k.Incentive = policies.Unknown
	}
	return s, k
}

// agree compares a filter with single decisions over random people and returns how many
// it lets through.
func agree(t *testing.T, r *policies.Revision, q policies.AudienceQuestion, random *rand.Rand, people int) int {
	t.Helper()
	filter, err := r.AudienceFilter(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	through := 0
	for range people {
		facts := audienceFacts(r, q, random)
		plan, err := r.Decide(t.Context(), facts)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Allow != filter.Match(&facts) {
			text, _ := json.Marshal(filter.Where)
			t.Fatalf("decided %v, filtered %v: %s\nfilter %d %s", plan.Allow, filter.Match(&facts), facts.Canonical(), filter.Kind, text)
		}
		if plan.Allow {
			through++
		}
	}
	return through
}

// TestFilterAgreesWithDecisions: whoever a filter lets through is whom a single decision
// allows, for every question that can be put about an audience.
func TestFilterAgreesWithDecisions(t *testing.T) {
	t.Parallel()
	r := revision(t)
	random := rand.New(rand.NewPCG(11, 12))
	questions, open, people, through := audienceQuestions(r.Catalogue()), 0, 0, 0
	for i, q := range questions {
		if purpose, _ := r.Catalogue().Purpose(q.Purpose); testing.Short() && i%5 > 0 && !slices.Contains(purpose.Channels, q.Channel) ||
			policies.UnderRace && i%4 > 0 { // the long list tries all of them without the detector
			continue
		}
		filter, err := r.AudienceFilter(t.Context(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		n := 5
		if filter.Kind != policies.FilterNone {
			open++
			n = 150
			switch {
			case policies.UnderRace:
				n = 15
			case testing.Short():
				n = 60
			}
		}
		people += n
		through += agree(t, r, q, random, n)
	}
	t.Logf("%d questions, %d of them open; %d people, %d let through, no difference", len(questions), open, people, through)
	if enough := 300; open < 20 || through < enough && !policies.UnderRace || through < enough/6 {
		t.Errorf("%d questions are open and %d people pass, want a fair mix", open, through)
	}
}

func statistics() policies.AudienceQuestion {
	return policies.AudienceQuestion{
		Role: privacy.RoleService, Recipient: "analyst", Purpose: "analytics", Channel: "web",
		Categories: []privacy.DataCategory{"purchases"},
	}
}

// TestFilterIsWhatALawyerWouldSay writes one filter out.
func TestFilterIsWhatALawyerWouldSay(t *testing.T) {
	t.Parallel()
	filter, err := revision(t).AudienceFilter(t.Context(), statistics())
	if err != nil || filter.Kind != policies.FilterWhere {
		t.Fatal(filter, err)
	}
	got, err := json.Marshal(filter.Where)
	if err != nil {
		t.Fatal(err)
	}
	in := func(field, values string) string {
		return `{"type":"field","operator":"in","field":"` + field + `","value":["` + strings.ReplaceAll(values, " ", `","`) + `"]}`
	}
	want := `{"type":"compound","operator":"and","value":[` + strings.Join([]string{
		in("consent.explicit", "no yes"), in("consent.incentive", "no yes"),
		in("subject.jurisdiction", "BR CZ DE EU FR TR UK US-CA"), in("subject.known", "yes"),
		in("subject.objected", "no"), in("subject.age", "adult"), in("subject.restricted", "no"),
		`{"type":"compound","operator":"or","value":[` + in("consent.state", "never_asked") +
			`,{"type":"compound","operator":"and","value":[` + in("consent.state", "granted") + "," + in("consent.basis", "consent") + `]}]}`,
	}, ",") + `]}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("filter (-want +got):\n%s", diff)
	}
}

func TestFilterOfNobody(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*policies.AudienceQuestion){
		"a DPO asks":           func(q *policies.AudienceQuestion) { q.Role = privacy.RoleDPO },
		"not contracted":       func(q *policies.AudienceQuestion) { q.Recipient = "web_shop" },
		"no such recipient":    func(q *policies.AudienceQuestion) { q.Recipient = "stranger" },
		"no such purpose":      func(q *policies.AudienceQuestion) { q.Purpose = "curiosity" },
		"no audience for this": func(q *policies.AudienceQuestion) { q.Purpose, q.Recipient = "greeting", "crm" },
		"needs a trigger":      func(q *policies.AudienceQuestion) { q.Purpose, q.Recipient = "store_coupons", "web_shop" },
		"channel":              func(q *policies.AudienceQuestion) { q.Channel = "postal" },
		"malformed":            func(q *policies.AudienceQuestion) { q.Channel = `web"` },
		"empty":                func(q *policies.AudienceQuestion) { *q = policies.AudienceQuestion{} },
	} {
		q := statistics()
		spoil(&q)
		if filter, err := revision(t).AudienceFilter(t.Context(), q); err != nil || filter.Kind != policies.FilterNone || filter.Where != nil {
			t.Errorf("%s: %+v, %v", name, filter, err)
		}
	}
}

// ofAge is a rule as it stands, lookup the end of it.
const (
	ofAge  = "passed contains \"subject.of_age\" if " + lookup
	lookup = "asked.ages[input.subject.age]\n"
)

// TestFilterOfOtherRules puts rules into other words: what can be translated agrees with
// the decisions, and what cannot is an error that lets nobody through.
func TestFilterOfOtherRules(t *testing.T) {
	t.Parallel()
	const age = "\tasked.ages[input.subject.age]\n"
	for _, test := range []struct {
		name, line string
		ok         bool
	}{
		{"as it is", age, true},
		{"not equal", age + "\tinput.subject.age != \"child\"\n", true},
		{"not", age + "\tnot input.subject.age == \"child\"\n", false},
		{"not in", age + "\tnot input.subject.household in {\"shared\", \"unknown\"}\n", false},
		{"not in and in", age + "\tnot input.subject.household in [\"shared\"]\n\tinput.subject.household in {\"shared\", \"single\"}\n", false},
		{"never", age + "\tinput.subject.age == \"child\"\n", true},
		{"one of the other rules", "\tsome age in asked.ages\n\tinput.subject.age == age\n", true},
		{"keyed", "\tnamed.purpose.bases[input.consent.basis]\n" + age, true},
		{"two facts compared", age + "\tinput.subject.age != input.subject.household\n", false},
		{"number", age + "\tinput.subject.age != 18\n", false},
		{"text function", age + "\tstartswith(input.subject.age, \"ad\")\n", false},
		{"order", age + "\tinput.subject.age > \"a\"\n", false},
		{"whether it is there", age + "\tinput.subject.age\n", false},
		{"counted", age + "\tcount([x | some x in [\"adult\"]; input.subject.age == x]) == 1\n", false},
		{"every", age + "\tevery x in [\"child\", \"youth\"] { input.subject.age != x }\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bundle := patched(t, "rego/gate/subject.rego", ofAge, ofAge[:len(ofAge)-len(lookup)]+"{\n"+test.line+"}\n")
			engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			r := engine.Revision()
			if test.ok {
				random := rand.New(rand.NewPCG(13, 14))
				through := agree(t, r, statistics(), random, 300)
				if (through == 0) != (test.name == "never") {
					t.Errorf("%d people pass", through)
				}
				return
			}
			filter, err := r.AudienceFilter(t.Context(), statistics())
			if !errors.Is(err, policies.ErrPolicy) || !cmp.Equal(filter, policies.Filter{}) {
				t.Errorf("filter %+v, error %v", filter, err)
			}
			t.Log(err)
		})
	}
}

func TestFilterElse(t *testing.T) {
	t.Parallel()
	bundle := patched(t, "rego/gate/subject.rego", ofAge, ofAge[:len(ofAge)-len(lookup)]+"{\n\t"+lookup+"\tolder == 1\n}\n")
	file := bundle["rego/gate/subject.rego"]
	file.Data = append(file.Data, "\nolder := 2 if input.subject.age == \"child\"\n\nelse := 1 if input.subject.known == \"yes\"\n"...)
	engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := engine.Revision().AudienceFilter(t.Context(), statistics())
	if !errors.Is(err, policies.ErrPolicy) || !cmp.Equal(filter, policies.Filter{}) {
		t.Errorf("filter %+v, error %v", filter, err)
	}
}

// TestFilterIsTriedBeforeItIsUsed: a plan that demands more than its checks, or less,
// would make a filter that disagrees with it.
func TestFilterIsTriedBeforeItIsUsed(t *testing.T) {
	t.Parallel()
	for name, condition := range map[string]string{
		"more": "gate.failed == set()\n\tinput.subject.household == \"single\"\n",
		"less": "gate.failed - {\"recipient.contracted\"} == set()\n",
	} {
		engine, err := policies.Open(t.Context(), patched(t, "rego/plan.rego", "gate.failed == set()\n", condition), policies.Config{EvaluationLimit: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		q := statistics()
		if name == "less" {
			q.Recipient = "web_shop"
		}
		filter, err := engine.Revision().AudienceFilter(t.Context(), q)
		if !errors.Is(err, policies.ErrPolicy) || !cmp.Equal(filter, policies.Filter{}) {
			t.Errorf("%s: filter %+v, error %v", name, filter, err)
		}
	}
}

func TestFilterIsNotMadeForACallerWhoLeft(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	filter, err := open(t).Revision().AudienceFilter(ctx, statistics())
	if !errors.Is(err, privacy.ErrUnavailable) || !cmp.Equal(filter, policies.Filter{}) {
		t.Errorf("filter %+v, error %v", filter, err)
	}
}

// TestFilterMatchIsShutByDefault: whatever is not a filter lets nobody through.
func TestFilterMatchIsShutByDefault(t *testing.T) {
	t.Parallel()
	facts := shopper()
	adult := policies.Condition{Op: policies.In, Field: policies.FieldAge, Values: []string{"adult"}}
	for name, filter := range map[string]policies.Filter{
		"zero":                {},
		"where nothing":       {Kind: policies.FilterWhere},
		"all and a condition": {Kind: policies.FilterAll, Where: &adult},
		"unknown kind":        {Kind: 9, Where: &adult},
		"no operator":         {Kind: policies.FilterWhere, Where: &policies.Condition{}},
		"empty and":           {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.And}},
		"empty or":            {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.Or}},
		"unknown field":       {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.NotIn, Field: "subject.name"}},
		"in nothing":          {Kind: policies.FilterWhere, Where: &policies.Condition{Op: policies.In, Field: policies.FieldAge}},
	} {
		if filter.Match(&facts) {
			t.Errorf("%s lets somebody through", name)
		}
	}
	if !(policies.Filter{Kind: policies.FilterWhere, Where: &adult}).Match(&facts) || !(policies.Filter{Kind: policies.FilterAll}).Match(&facts) {
		t.Error("a filter that should match does not")
	}
	if _, err := json.Marshal(policies.Condition{}); err == nil || !strings.Contains(err.Error(), "policy") {
		t.Errorf("a condition without an operator was written: %v", err)
	}
}

func audienceFacts(r *policies.Revision, q policies.AudienceQuestion, random *rand.Rand) policies.Facts {
	subject, consent := randomPerson(random, r.Catalogue())
	return r.AudienceFacts(q, subject, consent)
}
