package policies

import (
	"context"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
)

// UnderRace tells the outer tests whether the race detector runs.
const UnderRace = underRace

// PlanBare decides with nothing remembered, not even of the question, and with or
// without the index over the rules.
func (r *Revision) PlanBare(ctx context.Context, facts Facts, index bool) (Plan, error) {
	value, err := evaluate(ctx, &r.plan, facts.value(r.words), time.Minute, rego.EvalRuleIndexing(index), rego.EvalEarlyExit(index))
	if err != nil {
		return Plan{}, err
	}
	plan, err := decodePlan(value, facts.Categories)
	if err == nil && plan.Allow {
		r.catalogue.addObligations(&plan, &facts)
	}
	return plan, err
}

// AskedRules returns the paths of the rules whose answers are remembered by question.
func (r *Revision) AskedRules() []string {
	var paths []string
	for _, path := range r.asked.rules {
		paths = append(paths, path.String())
	}
	return paths
}
