package policies

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mahrem/mahrem/privacy"
)

// TestRuleIndexChangesNothing guards against a defect that OPA has had: rules that the
// index skips although they match.
func TestRuleIndexChangesNothing(t *testing.T) {
	t.Parallel()
	engine, err := Open(t.Context(), Bundle(), Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Revision()
	random := rand.New(rand.NewPCG(9, 10))
	compared := 0
	for _, id := range r.catalogue.Purposes() {
		good, _, err := r.welcome(t.Context(), r.catalogue.purposes[id])
		if err != nil {
			t.Fatal(err)
		}
		candidates := []Facts{good}
		for _, spoil := range spoilers {
			bad := good
			spoil.apply(&bad, r.catalogue.purposes[id])
			candidates = append(candidates, bad)
		}
		for _, facts := range candidates {
			if facts.Validate() != nil || random.IntN(3) == 0 {
				continue
			}
			facts.Grants = append(facts.Grants, []privacy.DataCategory{"health", "finances"}[random.IntN(2)])
			with, err := r.evaluate(t.Context(), &facts, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			without, err := r.evaluate(t.Context(), &facts, time.Minute, rego.EvalRuleIndexing(false), rego.EvalEarlyExit(false))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(with, without); diff != "" {
				t.Fatalf("%s (-index on +off):\n%s", facts.Canonical(), diff)
			}
			compared++
		}
	}
	t.Logf("%d facts, no difference", compared)
}
