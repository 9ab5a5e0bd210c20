package archive

import (
	"context"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func TestReplaySince(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.now = testTime.AddDate(0, 0, -3)
	b.decide(t, greeted(), 1) // too old
	b.now = testTime.Add(-time.Hour - time.Minute)
	b.decide(t, greeted(), 1) // too old, though within what clocks may be apart
	b.now = testTime
	child := greeted()
	child.Subject.Age, child.Purpose = policies.Child, "newsletter"
	for person := range byte(5) {
		b.decide(t, greeted(), person+1, "first_name")
		b.decide(t, child, person+1)
		b.logged(t, audit.Event{Kind: audit.ServerStarted, Outcome: audit.Done})
	}
	replay, err := b.ReplaySince(t.Context(), dpo, testTime.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if replay.Decisions != 10 || replay.Same != 10 || replay.Pairs != 2 || replay.Policies != 1 || len(replay.Findings) != 0 {
		t.Errorf("%+v", replay)
	}
	if entry := b.last(t); entry.Kind != audit.DecisionShown || entry.Count != "2-10" || entry.List == (audit.Digest{}) {
		t.Errorf("the entry of the replay: %+v", entry)
	}
	if replay, err = b.ReplaySince(t.Context(), auditor, testTime.AddDate(0, 0, -4)); err != nil || replay.Decisions != 12 {
		t.Errorf("all of them: %d, %v", replay.Decisions, err)
	}
	if replay, err = b.ReplaySince(t.Context(), auditor, testTime.Add(time.Hour)); err != nil || replay.Decisions != 0 {
		t.Errorf("none of them: %d, %v", replay.Decisions, err)
	}
}

// TestReplayFinds: each way in which the past can have been altered or lost is found and
// has a name.
func TestReplayFinds(t *testing.T) {
	t.Parallel()
	reseal := func(b *bench, row *DecidedRow, change func(r *record)) {
		t.Helper()
		r, err := b.open(row)
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		if row.Sealed, err = b.vault.SealHouse(decidedLabel(row.Pair, row.Planned), r.append(nil)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		alter func(b *bench)
		want  string
	}{
		"nothing": {func(*bench) {}, ""},
		"the plan": {func(b *bench) {
			reseal(b, &b.store.decided[0], func(r *record) {
				plan, err := policies.ParsePlan(r.plan)
				if err != nil {
					t.Fatal(err)
				}
				plan.Obligations = append(plan.Obligations, "zz_more")
				r.plan = plan.Canonical()
			})
		}, PlanDiffers},
		"the facts": {func(b *bench) {
			reseal(b, &b.store.decided[0], func(r *record) {
				facts := greeted()
				facts.Subject.Age = policies.Youth
				r.facts = facts.Canonical()
			})
		}, RecordDamaged},
		"the seal":      {func(b *bench) { b.store.decided[0].Sealed[20] ^= 1 }, RecordDamaged},
		"the record":    {func(b *bench) { b.store.decided = nil }, RecordMissing},
		"the bundle":    {func(b *bench) { clear(b.store.bundles) }, BundleMissing},
		"bundle broken": {func(b *bench) { b.store.bundles[b.revision.Digest()] = []byte("x") }, BundleDamaged},
		"another bundle": {func(b *bench) {
			b.compile = compileOther(t)
		}, BundleDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.decide(t, greeted(), 1, "first_name")
			b.decide(t, greeted(), 2, "first_name")
			c.alter(b)
			for _, all := range []bool{false, true} {
				replay, err := b.ReplayOne(t.Context(), dpo, id)
				decisions := uint64(1)
				if all {
					replay, err = b.ReplaySince(t.Context(), dpo, testTime)
					decisions = 2
				}
				switch {
				case err != nil:
					t.Error(err)
				case c.want == "" && (replay.Same != decisions || len(replay.Findings) != 0):
					t.Errorf("%+v", replay)
				case c.want != "" && (replay.Same != 0 || len(replay.Findings) != 1 || replay.Findings[0].Why != c.want ||
					replay.Findings[0].First != id || replay.Findings[0].Decisions != decisions):
					t.Errorf("%+v", replay)
				}
			}
		})
	}
}

// compileOther compiles a bundle that is not the one that was kept.
func compileOther(t *testing.T) Compile {
	other := edited(t, "greeting", "ages", "ages: [adult]")
	return func(context.Context, []byte) (*policies.Revision, error) { return other, nil }
}

// TestReplayHoldsTheEntryAgainstThePlan: the log and the plan say the same, but for what
// the gate denies on its own.
func TestReplayHoldsTheEntryAgainstThePlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	facts := greeted()
	child := greeted()
	child.Subject.Age, child.Purpose = policies.Child, "newsletter"
	b.decide(t, facts, 1)
	b.decide(t, child, 1)
	plan, err := b.revision.PlanUncached(t.Context(), child)
	if err != nil || plan.Allow {
		t.Fatal(err, plan.Allow)
	}
	for name, c := range map[string]struct {
		facts   policies.Facts
		kind    audit.Kind
		outcome audit.Outcome
		checks  []string
		want    string
	}{
		"denied and answered":        {child, audit.QueryAnswered, audit.Allowed, nil, EntryDiffers},
		"denied by fewer checks":     {child, audit.QueryDenied, audit.Denied, plan.Failed[1:], EntryDiffers},
		"denied as planned":          {child, audit.QueryDenied, audit.Denied, plan.Failed, ""},
		"denied, and damaged":        {child, audit.QueryDenied, audit.Denied, []string{gate.CheckDamaged}, ""},
		"allowed, but damaged":       {facts, audit.QueryDenied, audit.Denied, []string{gate.CheckDamaged}, ""},
		"allowed, but too little":    {facts, audit.QueryDenied, audit.Denied, []string{gate.CheckCategory}, ""},
		"allowed, denied for a rule": {facts, audit.QueryDenied, audit.Denied, []string{plan.Failed[0]}, EntryDiffers},
		"allowed, denied for nought": {facts, audit.QueryDenied, audit.Denied, nil, EntryDiffers},
		"screened":                   {facts, audit.QueryAnswered, audit.Allowed, []string{gate.CheckScreened}, ""},
	} {
		id := b.logged(t, audit.Event{
			Kind: c.kind, Outcome: c.outcome, Principal: shop, Checks: c.checks, Policy: b.revision.Digest(), Facts: c.facts.Digest(),
			Subject: audit.Subject{Unknown: true}, Purpose: c.facts.Purpose, Channel: c.facts.Channel,
		})
		replay, err := b.ReplayOne(t.Context(), dpo, id)
		got := ""
		if len(replay.Findings) > 0 {
			got = replay.Findings[0].Why
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	// The entry must be about what the facts are about, and release what the plan opens.
	for name, c := range map[string]struct {
		purpose    privacy.Purpose
		channel    privacy.Channel
		attributes []privacy.AttributeName
		want       string
	}{
		"as it was":                {"greeting", "web", []privacy.AttributeName{"first_name"}, ""},
		"another purpose":          {"newsletter", "web", nil, EntryDiffers},
		"another channel":          {"greeting", "email", nil, EntryDiffers},
		"of another category":      {"greeting", "web", []privacy.AttributeName{"first_name", "purchases.last_at"}, EntryDiffers},
		"unknown to the catalogue": {"greeting", "web", []privacy.AttributeName{"nothing"}, EntryDiffers},
	} {
		id := b.logged(t, audit.Event{
			Kind: audit.QueryAnswered, Outcome: audit.Allowed, Principal: shop, Policy: b.revision.Digest(), Facts: facts.Digest(),
			Subject: audit.Subject{Unknown: true}, Purpose: c.purpose, Channel: c.channel, Attributes: c.attributes,
		})
		replay, err := b.ReplayOne(t.Context(), dpo, id)
		got := ""
		if len(replay.Findings) > 0 {
			got = replay.Findings[0].Why
		}
		if err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
	// The policies came to no plan: that is not made again.
	if err := b.Keep(t.Context(), b.revision.Digest(), facts, nil); err != nil {
		t.Fatal(err)
	}
	id := b.logged(t, audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied, Principal: shop, Checks: []string{gate.CheckPolicy},
		Policy: b.revision.Digest(), Facts: facts.Digest(), Subject: audit.Subject{Unknown: true}, Purpose: facts.Purpose, Channel: facts.Channel,
	})
	if replay, err := b.ReplayOne(t.Context(), dpo, id); err != nil || replay.Undecided != 1 || replay.Same != 1 {
		t.Errorf("undecided: %+v, %v", replay, err)
	}
	if _, err := b.ReplaySince(t.Context(), shop, testTime); err == nil {
		t.Error("a service replays decisions")
	}
}

func TestReplayOfRandomFacts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	n := uint64(0)
	for _, purpose := range b.revision.Catalogue().Purposes() {
		for _, age := range []policies.AgeGroup{policies.Adult, policies.Child} {
			for _, state := range []policies.ConsentState{policies.ConsentGranted, policies.ConsentWithdrawn} {
				facts := greeted()
				facts.Purpose, facts.Subject.Age, facts.Consent.State = purpose, age, state
				facts.Consent.Basis, facts.Consent.Explicit = privacy.Consent, policies.Yes
				facts.Grants, facts.Categories = []privacy.DataCategory{"health"}, []privacy.DataCategory{"contact", "health", "purchases"}
				b.decide(t, facts, 1)
				n++
			}
		}
	}
	replay, err := b.ReplaySince(t.Context(), dpo, testTime)
	if err != nil || replay.Same != n || replay.Pairs != int(n) {
		t.Errorf("%d decisions: %+v, %v", n, replay, err)
	}
}
