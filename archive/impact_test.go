package archive

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func recommended() policies.Facts {
	f := greeted()
	f.Recipient, f.Purpose, f.Categories = "recommender", "recommendations", []privacy.DataCategory{"purchases", "views"}
	f.Consent = policies.ConsentFacts{State: policies.ConsentGranted, Explicit: policies.No, Basis: privacy.Consent, Incentive: policies.No}
	return f
}

func TestImpact(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.now = testTime.AddDate(0, 0, -40)
	b.decide(t, greeted(), 99) // before the window
	b.now = testTime.AddDate(0, 0, -30).Add(-11 * time.Hour)
	b.decide(t, greeted(), 98) // earlier on its first day
	b.now = testTime
	youth := greeted()
	youth.Subject.Age = policies.Youth
	mail := youth
	mail.Channel = "email"
	for range 3 {
		for person := range byte(4) {
			b.decide(t, youth, person+1, "first_name")
			b.decide(t, mail, person+1, "first_name") // the same people, told once
			b.decide(t, greeted(), person+11, "first_name")
		}
	}
	candidate := edited(t, "greeting", "ages", "ages: [adult]")
	impact, err := b.Impact(t.Context(), dpo, candidate, testTime.AddDate(0, 0, -30))
	if err != nil {
		t.Fatal(err)
	}
	if impact.Decisions != 37 || impact.Changed != 24 || impact.Unknown != 0 || impact.People != (People{4, AtLeast}) {
		t.Errorf("%+v", impact)
	}
	want := []Change{{
		Purpose: "greeting", Who: whoOf(&youth), Closes: []string{Everything},
		Failed: []string{"subject.of_age"}, Decisions: 24, People: People{4, AtLeast},
	}}
	if diff := cmp.Diff(want, impact.Changes, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	entry := b.last(t)
	if entry.Kind != audit.DecisionShown || entry.Policy != candidate.Digest() || entry.Count != "11-100" {
		t.Errorf("the entry of the impact: %+v", entry)
	}
	if _, err := b.Impact(t.Context(), shop, candidate, testTime); !errors.Is(err, privacy.ErrForbidden) {
		t.Errorf("a service: %v", err)
	}
	// The very policy that decided changes nothing.
	same, err := b.Impact(t.Context(), auditor, b.revision, testTime.AddDate(0, 0, -60))
	if err != nil || same.Decisions != 38 || same.Changed != 0 || len(same.Changes) != 0 {
		t.Errorf("the same policy: %+v, %v", same, err)
	}
	b.store.decided = nil
	lost, err := b.Impact(t.Context(), dpo, candidate, testTime.AddDate(0, 0, -30))
	if err != nil || lost.Unknown != 37 || lost.Changed != 0 {
		t.Errorf("without records: %+v, %v", lost, err)
	}
}

// TestImpactOfOpening: what was denied and would be allowed.
func TestImpactOfOpening(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := recommended()
	facts.Subject.Age = policies.Youth
	b.decide(t, facts, 1)
	impact, err := b.Impact(t.Context(), dpo, edited(t, "recommendations", "profiling", "profiling: false"), testTime)
	if err != nil || impact.Changed != 0 {
		t.Errorf("a youth is still too young: %+v, %v", impact, err)
	}
	facts.Channel = "sms"
	facts.Subject.Age = policies.Adult
	b.decide(t, facts, 2)
	impact, err = b.Impact(t.Context(), dpo, edited(t, "recommendations", "channels", "channels: [web, sms]"), testTime)
	if err != nil || len(impact.Changes) != 1 {
		t.Fatalf("%+v, %v", impact, err)
	}
	if diff := cmp.Diff([]string{Everything, "purchases", "views"}, impact.Changes[0].Opens); diff != "" || impact.Changes[0].Closes != nil {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestImpactOnPart: a category closes for all, a level falls for those who got the value.
func TestImpactOnPart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := recommended()
	b.decide(t, facts, 1, "purchases.product_groups")
	b.decide(t, facts, 2)
	b.decide(t, facts, 2)
	coarse := edited(t, "recommendations", "categories", "categories: {purchases: generalized, views: exact}")
	impact, err := b.Impact(t.Context(), dpo, coarse, testTime)
	if err != nil || len(impact.Changes) != 1 {
		t.Fatalf("%+v, %v", impact, err)
	}
	change := impact.Changes[0]
	if diff := cmp.Diff([]LevelChange{{"purchases.product_groups", policies.Exact, policies.Generalized, 1}}, change.Levels); diff != "" ||
		change.Decisions != 1 || change.People != (People{1, AtMost}) || impact.Changed != 1 {
		t.Errorf("%+v (-want +got):\n%s", change, diff)
	}
	// Other attributes of the same people are told in the same breath.
	b.decide(t, facts, 3, "purchases.last_product", "purchases.product_groups")
	impact, err = b.Impact(t.Context(), dpo, coarse, testTime)
	if err != nil || len(impact.Changes) != 1 {
		t.Fatalf("%+v, %v", impact, err)
	}
	if diff := cmp.Diff([]LevelChange{
		{"purchases.last_product", policies.Exact, policies.Generalized, 1},
		{"purchases.product_groups", policies.Exact, policies.Generalized, 2},
	}, impact.Changes[0].Levels); diff != "" || impact.Changes[0].Decisions != 2 || impact.Changed != 2 {
		t.Errorf("%+v (-want +got):\n%s", impact.Changes, diff)
	}
	closed := edited(t, "recommendations", "categories", "categories: {views: exact}")
	impact, err = b.Impact(t.Context(), dpo, closed, testTime)
	if err != nil || impact.Changed != 4 || impact.People != (People{3, AtLeast}) {
		t.Errorf("%+v, %v", impact, err)
	}
	for _, change := range impact.Changes {
		if change.Closes[0] != "purchases" {
			t.Errorf("%+v", change)
		}
	}
}

func TestPeopleAreFlushed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pair := Pair{b.revision.Digest(), audit.Digest{1}}
	met := func(person byte) { b.Met(pair.Policy, pair.Facts, audit.BlindingKey{person}.CountTag()) }
	people := func() uint64 {
		t.Helper()
		sketches, err := b.sketches(t.Context(), []Pair{pair}, testTime)
		if err != nil {
			t.Fatal(err)
		}
		count, _ := sketches[pair].count()
		return count
	}
	met(1)
	b.store.err = errBroken
	if err := b.Flush(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("a store that is broken: %v", err)
	}
	b.store.err = nil
	if got := people(); got != 1 {
		t.Errorf("%d people after a flush that failed", got)
	}
	met(2)
	if got := people(); got != 2 || len(b.store.people) != 1 {
		t.Errorf("%d people in %d rows", got, len(b.store.people))
	}
	// What is written says nothing in clear, and is the row's own.
	if _, err := parseSketch(b.store.people[0].Sealed); err == nil {
		t.Error("a sketch is stored in clear")
	}
	b.now = testTime.Add(24 * time.Hour)
	met(2) // before the day is turned
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	met(2)
	met(3)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := people(); got != 3 || len(b.store.people) != 2 || b.store.people[0].Part == b.store.people[1].Part {
		t.Errorf("%d people in %d rows", got, len(b.store.people))
	}
	b.store.people[0].Day = b.store.people[0].Day.Add(24 * time.Hour)
	if _, err := b.sketches(t.Context(), []Pair{pair}, testTime); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a row of another day: %v", err)
	}
}

func TestMetIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range maxTallies + 10 {
		b.Met(audit.Digest{1}, audit.Digest{byte(i), byte(i >> 8)}, 7)
	}
	if n := len(b.tallies.byPair); n != maxTallies {
		t.Errorf("%d sketches in memory", n)
	}
	if err := b.Flush(t.Context()); err != nil || len(b.tallies.byPair) != 0 || len(b.store.people) != maxTallies {
		t.Errorf("after the flush: %d in memory, %d rows, %v", len(b.tallies.byPair), len(b.store.people), err)
	}
}
