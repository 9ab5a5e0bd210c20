package policies_test

import (
	"testing"

	"github.com/mahrem/mahrem/policies"
)

func BenchmarkPlanUncached(b *testing.B) {
	r, ctx, facts := revision(b), b.Context(), shopper()
	b.ReportAllocs()
	for b.Loop() {
		if plan, err := r.PlanUncached(ctx, facts); err != nil || !plan.Allow {
			b.Fatal(plan, err)
		}
	}
}

func BenchmarkPlanDenied(b *testing.B) {
	r, ctx, facts := revision(b), b.Context(), shopper()
	facts.Consent.State = policies.ConsentWithdrawn
	b.ReportAllocs()
	for b.Loop() {
		if plan, err := r.PlanUncached(ctx, facts); err != nil || plan.Allow {
			b.Fatal(plan, err)
		}
	}
}

func BenchmarkMemoHit(b *testing.B) {
	r, ctx, facts := revision(b), b.Context(), shopper()
	facts.Categories = facts.Categories[:1]
	b.ReportAllocs()
	for b.Loop() {
		if plan, err := r.Decide(ctx, facts); err != nil || !plan.Allow {
			b.Fatal(plan, err)
		}
	}
}

func BenchmarkFactsDigest(b *testing.B) {
	facts := shopper()
	b.ReportAllocs()
	for b.Loop() {
		_ = facts.Digest()
	}
}

func BenchmarkActivate(b *testing.B) {
	ctx := b.Context()
	for b.Loop() {
		if err := policies.New(policies.Config{}).Activate(ctx, policies.Bundle()); err != nil {
			b.Fatal(err)
		}
	}
}

// TestAllocationBudgets guards the stable measure of cost. It is not parallel, as
// counting allocations demands.
func TestAllocationBudgets(t *testing.T) {
	if policies.UnderRace {
		t.Skip("allocations differ under the race detector")
	}
	r, ctx, facts := revision(t), t.Context(), shopper()
	facts.Categories = facts.Categories[:1]
	if _, err := r.Decide(ctx, facts); err != nil {
		t.Fatal(err)
	}
	if allocs := testing.AllocsPerRun(200, func() { _, _ = r.Decide(ctx, facts) }); allocs > 0 {
		t.Errorf("a memo hit allocates %v times, want none", allocs)
	}
	if allocs := testing.AllocsPerRun(50, func() { _, _ = r.PlanUncached(ctx, facts) }); allocs > 330 {
		t.Errorf("a plan allocates %v times, want about 300", allocs)
	}
}
