package policies

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// pair is what the catalogue says of a purpose and an attribute together. It is all that
// the expanding rules see, so that pairs which are alike have one verdict and few
// evaluations serve a large catalogue.
type pair struct {
	stated                                   string
	source                                   SourceKind
	precise, generalizable, persona, special bool
	purposeMayAsk, purposeTakesPersona       bool
}

// pairInputs are the inputs that the expanding rules may read.
var pairInputs = map[string]bool{
	"input.stated": true, "input.source": true, "input.precise": true, "input.generalizable": true,
	"input.persona": true, "input.special": true, "input.purpose_may_ask": true, "input.purpose_takes_persona": true,
}

func (c *Catalogue) pair(p *Purpose, a *Attribute) pair {
	stated := "none"
	if level, ok := p.Categories[a.Category]; ok {
		stated = level.String()
		if level, ok := p.Attributes[a.ID]; ok {
			stated = level.String()
		}
	}
	return pair{
		stated: stated, source: a.Source, precise: a.Precise, generalizable: a.Generalize != nil,
		persona: a.Persona, special: c.categories[a.Category].Special,
		purposeMayAsk: p.Special, purposeTakesPersona: p.Persona,
	}
}

func (p pair) value() ast.Value {
	entry := func(key string, value *ast.Term) [2]*ast.Term { return [2]*ast.Term{ast.StringTerm(key), value} }
	return ast.NewObject(
		entry("stated", ast.StringTerm(p.stated)), entry("source", ast.StringTerm(string(p.source))),
		entry("precise", ast.BooleanTerm(p.precise)), entry("generalizable", ast.BooleanTerm(p.generalizable)),
		entry("persona", ast.BooleanTerm(p.persona)), entry("special", ast.BooleanTerm(p.special)),
		entry("purpose_may_ask", ast.BooleanTerm(p.purposeMayAsk)),
		entry("purpose_takes_persona", ast.BooleanTerm(p.purposeTakesPersona)),
	)
}

// expand asks the rules for every verdict.
func (r *Revision) expand(ctx context.Context, query rego.PreparedEvalQuery) error {
	first := map[pair]verdictKey{}
	for _, purpose := range r.catalogue.purposes {
		for _, attribute := range r.catalogue.attributes {
			pair := r.catalogue.pair(purpose, attribute)
			if key := (verdictKey{purpose.ID, attribute.ID}); first[pair] == (verdictKey{}) {
				first[pair] = key
			}
		}
	}
	pairs := slices.Collect(maps.Keys(first))
	verdicts := make([]Verdict, len(pairs))
	err := inParallel(len(pairs), func(i int) error {
		value, err := evaluate(ctx, &query, pairs[i].value(), r.activating())
		if err == nil {
			verdicts[i], err = decodeVerdict(value)
		}
		if err != nil {
			key := first[pairs[i]]
			return fmt.Errorf("expanding verdict for %s and %s: %w", key.purpose, key.attribute, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	known := make(map[pair]Verdict, len(pairs))
	for i, pair := range pairs {
		known[pair] = verdicts[i]
	}
	r.verdicts = make(map[verdictKey]Verdict, len(r.catalogue.purposes)*len(r.catalogue.attributes))
	for _, purpose := range r.catalogue.purposes {
		for _, attribute := range r.catalogue.attributes {
			r.verdicts[verdictKey{purpose.ID, attribute.ID}] = known[r.catalogue.pair(purpose, attribute)]
		}
	}
	return nil
}

// inParallel calls do for 0 to n-1 on all processors and returns the first error by
// number. After an error nothing new is begun.
func inParallel(n int, do func(i int) error) error {
	errs := make([]error, n)
	var next, failed atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Go(func() {
			for failed.Load() == 0 {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[i] = do(i); errs[i] != nil {
					failed.Add(1)
				}
			}
		})
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
