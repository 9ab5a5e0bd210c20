package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Explained is why decisions of one pair came out as they did.
type Explained struct {
	Plan policies.Plan
	// Reasons are as in [Shown].
	Reasons []policies.Reason
}

// Explain returns the plans of these pairs with the words and the law behind them. Pairs
// whose record was not kept, does not open, or has no plan are left out: what the log says
// of them stands alone. It logs nothing: the caller must, for whatever it is that they
// explain the decisions for.
func (a *Archive) Explain(ctx context.Context, pairs []Pair) (map[Pair]Explained, error) {
	list := make(map[Pair]Explained, len(pairs))
	for chunk := range slices.Chunk(pairs, recordsAtOnce) {
		kept, err := a.records(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("explaining decisions: %w", err)
		}
		for key, r := range kept {
			if r.err != nil || len(r.plan) == 0 {
				continue
			}
			plan, err := policies.ParsePlan(r.plan)
			if err != nil {
				continue
			}
			explained := Explained{Plan: plan}
			if explained.Reasons, err = a.reasons(ctx, key.Policy, plan); err != nil {
				return nil, fmt.Errorf("explaining decisions: %w", err)
			}
			list[key.Pair] = explained
		}
	}
	return list, nil
}

// reasons says in words why a plan is what it is, as far as the bundle that made it was
// kept: the checks without their words are still the truth.
func (a *Archive) reasons(ctx context.Context, policy audit.Digest, plan policies.Plan) ([]policies.Reason, error) {
	revision, err := a.revision(ctx, policy)
	if err == nil {
		return revision.Explain(plan), nil
	}
	if !errors.Is(err, privacy.ErrNotFound) && !errors.Is(err, privacy.ErrDamaged) {
		return nil, err
	}
	var bare []policies.Reason
	for _, check := range plan.Failed {
		bare = append(bare, policies.Reason{Check: check})
	}
	return bare, nil
}
