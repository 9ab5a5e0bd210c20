package policies_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

var (
	answers    = []policies.Answer{policies.Yes, policies.No, policies.Unknown}
	ages       = []policies.AgeGroup{policies.Child, policies.Youth, policies.Adult, policies.AgeUnknown}
	households = []policies.Household{policies.SingleHousehold, policies.SharedHousehold, policies.UnknownHousehold}
	states     = policies.ConsentStates()
	bases      = []privacy.LegalBasis{privacy.Consent, privacy.Contract, policies.NoBasis}
)

func pick[T any](random *rand.Rand, list []T) T { return list[random.IntN(len(list))] }

func sample[T any](random *rand.Rand, list []T, most int) []T {
	var out []T
	if len(list) == 0 {
		return nil
	}
	for range random.IntN(most + 1) {
		out = append(out, pick(random, list))
	}
	return out
}

// randomFacts draws facts of which a fair share is allowed.
func randomFacts(random *rand.Rand, c *policies.Catalogue) policies.Facts {
	purpose, _ := c.Purpose(pick(random, c.Purposes()))
	channels := purpose.Channels
	if len(channels) == 0 {
		channels = c.Channels()
	}
	f := policies.Facts{
		Action: pick(random, purpose.Actions), Role: privacy.RoleService, Recipient: pick(random, c.Recipients()),
		Purpose: purpose.ID, Channel: pick(random, channels), Reference: policies.ByPseudonym,
		Subject: policies.SubjectFacts{
			Known: policies.Yes, Age: policies.Adult, Jurisdiction: pick(random, c.Jurisdictions()),
			Restricted: policies.No, Objected: policies.No, Household: pick(random, households),
		},
		Consent: policies.ConsentFacts{
			State: policies.ConsentGranted, Explicit: pick(random, answers[:2]), Basis: privacy.Consent,
			Incentive: pick(random, answers[:2]),
		},
		Trigger: pick(random, []policies.Freshness{policies.NoTrigger, policies.FreshTrigger}),
		Case:    pick(random, []policies.Case{policies.NoCase, policies.HandledCase}),
		Grants:  sample(random, c.Categories(), 2), Categories: sample(random, c.Categories(), 4),
	}
	var contracted []privacy.RecipientID
	for _, id := range c.Recipients() {
		if recipient, _ := c.Recipient(id); slices.Contains(recipient.Purposes, purpose.ID) {
			contracted = append(contracted, id)
		}
	}
	if len(contracted) > 0 && random.IntN(8) > 0 {
		f.Recipient = pick(random, contracted)
	}
	if purpose.Trigger != policies.TriggerOptional && random.IntN(8) > 0 {
		f.Trigger = policies.NoTrigger
		if purpose.Trigger == policies.TriggerRequired {
			f.Trigger = policies.FreshTrigger
		}
	}
	if random.IntN(4) > 0 {
		f.Categories = append(f.Categories, sample(random, keys(purpose.Categories), 3)...)
	}
	if purpose.Reidentification && random.IntN(2) == 0 {
		f.Role, f.Recipient, f.Categories = privacy.RoleDPO, policies.NoRecipient, nil
	}
	for random.IntN(3) == 0 {
		switch random.IntN(8) {
		case 0:
			f.Subject.Age = pick(random, ages)
		case 1:
			f.Subject.Restricted = pick(random, answers)
		case 2:
			f.Subject.Objected = pick(random, answers)
		case 3:
			f.Consent.State = pick(random, states)
		case 4:
			f.Consent.Basis = pick(random, bases)
		case 5:
			f.Role = pick(random, []privacy.Role{privacy.RoleDPO, privacy.RoleAuditor, privacy.RoleIngest})
		case 6:
			f.Channel = pick(random, c.Channels())
		case 7:
			f.Action = pick(random, []policies.Action{policies.Audience, policies.Reidentify})
		}
	}
	return f
}

func keys[K comparable, V any](m map[K]V) []K {
	var list []K
	for k := range m {
		list = append(list, k)
	}
	return list
}

// TestMemoChangesNothing compares, over random facts, the memo with no memo and
// a second asking with the first, whatever order and duplicates the lists have.
func TestMemoChangesNothing(t *testing.T) {
	t.Parallel()
	r, ctx := revision(t), t.Context()
	if !r.Memo().Exact {
		t.Fatalf("the memo is off: %s", r.Memo().Note)
	}
	random := rand.New(rand.NewPCG(1, 2))
	allowed := 0
	for range 800 {
		facts := randomFacts(random, r.Catalogue())
		want, err := r.PlanBare(ctx, facts, true)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := facts
		shuffled.Categories = append(slices.Clone(facts.Categories), facts.Categories...)
		random.Shuffle(len(shuffled.Categories), func(i, j int) {
			shuffled.Categories[i], shuffled.Categories[j] = shuffled.Categories[j], shuffled.Categories[i]
		})
		if facts.Digest() != shuffled.Digest() {
			t.Fatal("order or duplicates change the digest")
		}
		for _, again := range []policies.Facts{facts, shuffled, facts} {
			if diff := cmp.Diff(want, decide(t, r, again)); diff != "" {
				t.Fatalf("facts %s (-uncached +memo):\n%s", facts.Canonical(), diff)
			}
		}
		if want.Allow {
			allowed++
		}
	}
	if allowed < 150 || allowed > 650 {
		t.Errorf("%d of 800 random facts are allowed, want a fair mix", allowed)
	}
	t.Logf("%d of 800 allowed, memo %+v", allowed, r.Memo())
}

// TestInvariants walks random facts and states what must never be, independently of the
// rules.
func TestInvariants(t *testing.T) {
	t.Parallel()
	r := revision(t)
	c := r.Catalogue()
	random := rand.New(rand.NewPCG(3, 4))
	for range 1500 {
		facts := randomFacts(random, c)
		plan := decide(t, r, facts)
		if !plan.Allow {
			continue
		}
		purpose, _ := c.Purpose(facts.Purpose)
		complain := func(what string) { t.Errorf("%s: %s", what, facts.Canonical()) }
		if plan.Basis == policies.NoBasis || plan.Basis == "" {
			complain("open without a legal basis")
		}
		if plan.Basis == privacy.Consent && facts.Consent.State != policies.ConsentGranted {
			complain("consent claimed that was not given")
		}
		if purpose.Profiling && facts.Subject.Age != policies.Adult {
			complain("somebody who is not known to be adult is profiled")
		}
		if facts.Subject.Restricted != policies.No && !purpose.DespiteRestriction {
			complain("open under a restriction")
		}
		if facts.Subject.Objected != policies.No && !purpose.DespiteObjection {
			complain("open against an objection")
		}
		if facts.Action == policies.Reidentify && facts.Role != privacy.RoleDPO {
			complain("re-identified by somebody else than a DPO")
		}
		if facts.Channel == "postal" && purpose.Profiling && facts.Subject.Household != policies.SingleHousehold {
			complain("profiling posted to a household")
		}
		for _, id := range plan.Granted {
			category, _ := c.Category(id)
			if !slices.Contains(facts.Categories, id) {
				complain("granted what was not asked for")
			}
			if category.Special && (facts.Consent.Explicit != policies.Yes || !slices.Contains(facts.Grants, id)) {
				complain("a special category without explicit consent")
			}
		}
	}
}

// TestWithdrawingNeverOpens: taking away consent, adding a restriction or an objection,
// or lowering the age never grants anything that was not granted before.
func TestWithdrawingNeverOpens(t *testing.T) {
	t.Parallel()
	r := revision(t)
	random := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		facts := randomFacts(random, r.Catalogue())
		before := decide(t, r, facts)
		for _, worse := range []func(*policies.Facts){
			func(f *policies.Facts) { f.Consent.State = policies.ConsentWithdrawn },
			func(f *policies.Facts) { f.Consent.Explicit = policies.No },
			func(f *policies.Facts) { f.Grants = nil },
			func(f *policies.Facts) { f.Subject.Restricted = policies.Yes },
			func(f *policies.Facts) { f.Subject.Objected = policies.Yes },
			func(f *policies.Facts) { f.Subject.Age = policies.AgeUnknown },
			func(f *policies.Facts) { f.Subject.Household = policies.SharedHousehold },
			func(f *policies.Facts) { f.Case = policies.NoCase },
		} {
			less := facts
			worse(&less)
			after := decide(t, r, less)
			for _, category := range after.Granted {
				if !slices.Contains(before.Granted, category) {
					t.Fatalf("%s is granted by taking away: %s", category, less.Canonical())
				}
			}
			if after.Allow && !before.Allow && facts.Consent.State == less.Consent.State {
				t.Fatalf("opened by taking away: %s", less.Canonical())
			}
		}
	}
}

func TestVerdictInvariants(t *testing.T) {
	t.Parallel()
	r := revision(t)
	c := r.Catalogue()
	for _, p := range c.Purposes() {
		purpose, _ := c.Purpose(p)
		for _, a := range c.Attributes() {
			attribute, _ := c.Attribute(a)
			category, _ := c.Category(attribute.Category)
			verdict := r.Verdict(p, a)
			if verdict.Max == policies.Exact && (attribute.Source == policies.Social || attribute.Precise) {
				t.Errorf("%s may be exact under %s", a, p)
			}
			if verdict.Max > policies.Persona && category.Special && !purpose.Special {
				t.Errorf("%s is special and open under %s", a, p)
			}
			if verdict.Max == policies.Generalized && attribute.Generalize == nil {
				t.Errorf("%s cannot be generalized under %s", a, p)
			}
		}
	}
	if got := r.Verdict("curiosity", "first_name"); got.Max != policies.Withheld {
		t.Errorf("unknown purpose: %v", got.Max)
	}
}

// TestProbeOpensNothing spoils one fact at a time, for every purpose.
func TestProbeOpensNothing(t *testing.T) {
	t.Parallel()
	tried, err := revision(t).Probe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d spoiled facts, 0 let through", tried)
	if tried < 400 {
		t.Errorf("only %d spoiled facts were tried", tried)
	}
}

func TestMemoIsOffWhenItCannotBeProven(t *testing.T) {
	t.Parallel()
	bundle := patched(t, "rego/gate/subject.rego", `input.subject.jurisdiction in data.catalogue.jurisdictions`,
		"input.subject.jurisdiction in data.catalogue.jurisdictions\n\nseason := data.weather")
	bundle["rego/gate/subject.rego"].Data = []byte(strings.Replace(string(bundle["rego/gate/subject.rego"].Data),
		`input.subject.known == "yes"`, "{\n\tinput.subject.known == \"yes\"\n\tnot season == \"bad\"\n}", 1))
	engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if status := engine.Revision().Memo(); status.Exact || !strings.Contains(status.Note, "data.weather") {
		t.Errorf("memo %+v, want it off because of data.weather", status)
	}
}

func TestEvaluationIsBounded(t *testing.T) {
	t.Parallel()
	bundle := patched(t, "rego/gate/subject.rego", `passed contains "subject.known" if input.subject.known == "yes"`,
		"passed contains \"subject.known\" if {\n\tinput.subject.known == \"yes\"\n\tinput.reference == \"email\"\n"+
			"\tcount([1 | some x in numbers.range(1, 9000); some y in numbers.range(1, 9000); x * y == 0]) == 0\n}\n\n"+
			"# METADATA\n# title: x\n# labels:\n#   check: subject.known\n#   law: GDPR-1\n"+
			`passed contains "subject.known" if {`+"\n\tinput.subject.known == \"yes\"\n\tinput.reference == \"pseudonym\"\n}")
	engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	engine.Revision().Hurry(policies.EvaluationLimit)
	facts := shopper()
	facts.Reference = "email"
	began := time.Now()
	if _, err := engine.Revision().Decide(t.Context(), facts); err == nil {
		t.Fatal("an endless evaluation ended")
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
}

func TestMalformedFactsAreDeniedByName(t *testing.T) {
	t.Parallel()
	r := revision(t)
	for name, spoil := range map[string]func(*policies.Facts){
		"quote":    func(f *policies.Facts) { f.Purpose = `a","role":"dpo` },
		"empty":    func(f *policies.Facts) { f.Subject.Known = "" },
		"long":     func(f *policies.Facts) { f.Channel = privacy.Channel(strings.Repeat("a", 65)) },
		"list":     func(f *policies.Facts) { f.Grants = make([]privacy.DataCategory, 65) },
		"category": func(f *policies.Facts) { f.Categories = []privacy.DataCategory{"zdraví"} },
	} {
		facts := shopper()
		spoil(&facts)
		plan := decide(t, r, facts)
		if plan.Allow || !slices.Equal(plan.Failed, []string{policies.CheckWellFormed}) {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}
