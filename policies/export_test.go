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

// Hurry bounds evaluations for requests more narrowly than those of the activation were, which
// takes as long as a busy machine needs. Nobody may be asking yet.
func (r *Revision) Hurry(limit time.Duration) { r.limit = limit }

// AskedRules returns the paths of the rules whose answers are remembered by question.
func (r *Revision) AskedRules() []string {
	var paths []string
	for _, path := range r.asked.rules {
		paths = append(paths, path.String())
	}
	return paths
}

// RoomKey returns by what a decision in a room is remembered, and what the rules see.
func (r *Revision) RoomKey(facts RoomFacts) (key, value string) {
	input := facts.input(r.catalogue)
	return string(input.append(nil)), input.value().String()
}

// DecideRoomBare decides with nothing remembered, as rules are evaluated without our caches.
func (r *Revision) DecideRoomBare(ctx context.Context, facts RoomFacts) (RoomDecision, error) {
	input := facts.input(r.catalogue)
	value, err := evaluate(ctx, &r.room, input.value(), time.Minute)
	if err != nil {
		return RoomDecision{}, err
	}
	decision, err := decodeRoom(value)
	decision.Policy = r.digest
	return decision, err
}

// RoomMemo returns how many decisions in rooms were remembered, and looked for in vain.
func (r *Revision) RoomMemo() (hits, misses uint64) {
	return r.roomMemo.hits.Load(), r.roomMemo.misses.Load()
}
