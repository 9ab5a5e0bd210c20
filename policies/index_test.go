package policies_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// wildFacts are random facts of which one in a few has a word that does not belong there.
func wildFacts(random *rand.Rand, c *policies.Catalogue) policies.Facts {
	f := randomFacts(random, c)
	switch random.IntN(16) {
	case 0:
		f.Subject.Known = pick(random, []policies.Answer{policies.No, policies.Unknown, "null"})
	case 1:
		f.Subject.Jurisdiction = pick(random, []privacy.Jurisdiction{policies.UnknownJurisdiction, "XX"})
	case 2:
		f.Consent.Explicit = "maybe"
	case 3:
		f.Consent.State = "unknown"
	case 4:
		f.Categories = append(slices.Clone(f.Categories), "unknown")
	case 5:
		f.Case = "closed"
	case 6:
		f.Purpose = pick(random, c.Purposes())
	case 7:
		f.Reference = "phone"
	}
	return f
}

// TestPlansDoNotDependOnHowTheyAreMade compares ways to the same plan: with what is
// remembered of questions, with nothing remembered, and without the index over the
// rules, which has had defects that made it skip rules that match.
func TestPlansDoNotDependOnHowTheyAreMade(t *testing.T) {
	t.Parallel()
	r, random := revision(t), rand.New(rand.NewPCG(9, 10))
	facts, allowed := 1200, 0
	if testing.Short() {
		facts = 400
	}
	for range facts {
		f := wildFacts(random, r.Catalogue())
		want, err := r.PlanBare(t.Context(), f, true)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := r.PlanBare(t.Context(), f, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, bare); diff != "" {
			t.Fatalf("%s (-index +none):\n%s", f.Canonical(), diff)
		}
		for range 2 { // learning, and knowing
			got, err := r.PlanUncached(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s (-bare +question remembered):\n%s", f.Canonical(), diff)
			}
		}
		if want.Allow {
			allowed++
		}
	}
	t.Logf("%d facts, %d allowed, no difference", facts, allowed)
	if allowed < facts/6 || allowed > facts*5/6 {
		t.Error("want a fair mix")
	}
}

// TestQuestionsAreSharedByManyPeopleAtOnce asks one question about many people from
// several sides while it is being learned.
func TestQuestionsAreSharedByManyPeopleAtOnce(t *testing.T) {
	t.Parallel()
	r := open(t).Revision()
	var group sync.WaitGroup
	for side := range uint64(4) {
		group.Go(func() {
			random := rand.New(rand.NewPCG(21, side))
			for range 60 {
				f := shopper()
				f.Subject, f.Consent = randomPerson(random, r.Catalogue())
				want, err := r.PlanBare(t.Context(), f, true)
				got, err2 := r.PlanUncached(t.Context(), f)
				if err != nil || err2 != nil || !cmp.Equal(want, got) {
					t.Errorf("%s: %v %v\n%s", f.Canonical(), err, err2, cmp.Diff(want, got))
				}
			}
		})
	}
	group.Wait()
}

// TestOnlyTheQuestionIsRemembered: a rule that reads one fact about the person is none
// of those that are remembered, however it is reached.
func TestOnlyTheQuestionIsRemembered(t *testing.T) {
	t.Parallel()
	rules := revision(t).AskedRules()
	for _, want := range []string{"data.mahrem.asked.passed", "data.mahrem.asked.missing", "data.mahrem.named.purpose"} {
		if !slices.Contains(rules, want) {
			t.Errorf("%s is not remembered, only %q", want, rules)
		}
	}
	bundle := patched(t, "rego/gate/caller.rego", "office_act if {\n", "office_act if {\n\tinput.subject.known == \"yes\"\n")
	engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	rules = engine.Revision().AskedRules()
	for _, reads := range []string{"data.mahrem.asked.office_act", "data.mahrem.asked.passed", "data.mahrem.asked.missing"} {
		if slices.Contains(rules, reads) {
			t.Errorf("%s reads whether the person is known and is remembered", reads)
		}
	}
	if !slices.Contains(rules, "data.mahrem.named.purpose") || strings.Contains(strings.Join(rules, " "), "data.mahrem.gate.passed") {
		t.Errorf("remembered: %q", rules)
	}
}
