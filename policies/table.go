package policies

import (
	"context"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

// A Table is what a revision decides, in every cell of the finite space of facts: every
// purpose, recipient, channel, age, jurisdiction, state of consent and so on that facts
// and catalogue list, each with one word more that stands for all that they do not.
//
// The space is too large to visit, so the table is made exactly, from parts. Each rule
// is asked alone, in every combination of the facts that it can read (OPA's dependency
// analysis says which), and what the rules put together is put together again as sets of
// cells. Where a fact is only ever compared with certain words, all others count as one.
// Three things are taken for granted and tried out on random facts whenever a table is
// made: a decision is open if every required check passes; a question for several data
// categories opens what the questions for each would open; and so is it with what the
// person agreed to.
type Table struct {
	revision *Revision
	space    *tableSpace
	d        *diagrams

	allow           diagram
	passed          map[string]diagram
	granted         diagram
	cleared         diagram
	due             map[string]diagram
	bases, ceilings map[string]diagram
	evaluations     int
}

// Table makes the table of a revision.
func (r *Revision) Table(ctx context.Context) (*Table, error) {
	tables, err := makeTables(ctx, r)
	if err != nil {
		return nil, err
	}
	return tables[0], nil
}

// makeTables makes the tables of some revisions over one space, so that their cells
// can be compared.
func makeTables(ctx context.Context, revisions ...*Revision) ([]*Table, error) {
	var all mentions
	var catalogues []*Catalogue
	for _, r := range revisions {
		catalogues = append(catalogues, r.catalogue)
		for _, module := range r.modules {
			for _, rule := range module.Rules {
				all.read(rule)
			}
		}
	}
	space := newTableSpace(all.words, catalogues...)
	d := newDiagrams(space.sizes())
	tables := make([]*Table, len(revisions))
	for i, r := range revisions {
		if same := slices.Index(revisions[:i], r); same >= 0 {
			tables[i] = tables[same]
			continue
		}
		t := &Table{
			revision: r, space: space, d: d, allow: everything, passed: map[string]diagram{}, due: map[string]diagram{},
			bases: map[string]diagram{}, ceilings: map[string]diagram{},
		}
		rules, err := t.ask(ctx)
		if err != nil {
			return nil, fmt.Errorf("making table: %w", err)
		}
		t.compose(rules)
		if err := t.tryOut(ctx); err != nil {
			return nil, fmt.Errorf("making table: %w", err)
		}
		tables[i] = t
	}
	return tables, nil
}

// ask asks every rule alone.
func (t *Table) ask(ctx context.Context) ([]*tableRule, error) {
	r := t.revision
	compiler, rules, err := r.isolate()
	if err != nil {
		return nil, err
	}
	written := map[string]*ast.Rule{}
	for _, module := range r.modules {
		for _, rule := range module.Rules {
			written[rule.Location.String()] = rule
		}
	}
	for _, rule := range rules {
		if err := rule.depend(compiler, written, t.space); err != nil {
			return nil, err
		}
	}
	outcomes := make([]map[string][]string, len(rules))
	err = inParallel(len(rules), func(i int) error {
		var err error
		outcomes[i], err = rules[i].ask(ctx, compiler, r, t.space)
		return err
	})
	if err != nil {
		return nil, err
	}
	inner := map[string]diagram{} // what is drawn already
	for _, documents := range [...][]string{
		{clearedDocument},
		{grantedDocument},
		{passedQuery, dueDocument, basisDocument, ceilingDocument},
	} {
		for i, rule := range rules {
			if slices.Contains(documents, rule.document) {
				t.evaluations += len(outcomes[i])
				rule.draw(t.d, outcomes[i], inner[innerDocuments[rule.document]])
				inner[rule.document] = t.d.or(inner[rule.document], rule.holds[""])
			}
		}
	}
	t.cleared, t.granted = inner[clearedDocument], inner[grantedDocument]
	return rules, nil
}

// compose puts the rules together as the plan does.
func (t *Table) compose(rules []*tableRule) {
	join := func(into map[string]diagram, rule *tableRule) {
		for word, holds := range rule.holds {
			into[word] = t.d.or(into[word], holds)
		}
	}
	for _, rule := range rules {
		switch rule.document {
		case passedQuery:
			join(t.passed, rule)
		case dueDocument:
			join(t.due, rule)
		case basisDocument:
			join(t.bases, rule)
		case ceilingDocument:
			join(t.ceilings, rule)
		}
	}
	for _, check := range t.revision.required {
		t.allow = t.d.and(t.allow, t.passed[check])
	}
}

// Cells returns how many cells the space has, and in how many of them something opens.
func (t *Table) Cells() (all, open *big.Int) {
	return t.d.count(everything), t.d.count(t.allow)
}

// Evaluations returns how many evaluations of single rules the table was made from.
func (t *Table) Evaluations() int { return t.evaluations }

// Plan returns the plan for facts as the table has it, without asking the rules. It
// leaves out what the catalogue adds without a rule ([Plan.Obligations] of purposes,
// channels, recipients and categories).
func (t *Table) Plan(facts Facts) Plan {
	cells := t.space.cells(&facts)
	plan := Plan{Basis: NoBasis}
	failed := map[string]bool{}
	for _, check := range t.revision.required {
		failed[check] = true
	}
	for i, cell := range cells {
		for check := range failed {
			if t.d.holds(t.passed[check], cell) {
				delete(failed, check)
			}
		}
		if len(facts.Categories) > 0 && t.d.holds(t.granted, cell) {
			plan.Granted = append(plan.Granted, canonicalList(facts.Categories)[i])
		}
	}
	plan.Failed = sortedKeys(failed)
	if plan.Allow = len(failed) == 0; !plan.Allow {
		return Plan{Basis: NoBasis, Failed: plan.Failed, Denied: canonicalList(facts.Categories)}
	}
	plan.Failed = nil
	cell := cells[0]
	for basis, holds := range t.bases {
		if t.d.holds(holds, cell) {
			plan.Basis = privacy.LegalBasis(basis)
		}
	}
	for level, holds := range t.ceilings {
		if t.d.holds(holds, cell) {
			plan.Ceiling, _ = ParseLevel(level)
		}
	}
	asked := facts
	for _, category := range canonicalList(facts.Grants) {
		asked.Categories, asked.Grants = []privacy.DataCategory{category}, []privacy.DataCategory{category}
		if t.d.holds(t.cleared, t.space.cells(&asked)[0]) {
			plan.Cleared = append(plan.Cleared, category)
		}
	}
	for obligation, holds := range t.due {
		if t.d.holds(holds, cell) {
			plan.Obligations = append(plan.Obligations, ObligationID(obligation))
		}
	}
	slices.Sort(plan.Obligations)
	for _, category := range canonicalList(facts.Categories) {
		if !slices.Contains(plan.Granted, category) {
			plan.Denied = append(plan.Denied, category)
		}
	}
	if purpose, ok := t.revision.catalogue.Purpose(facts.Purpose); ok {
		plan.Persona = purpose.Persona
	}
	return plan
}

// tries is how many random facts a table is tried out on.
const tries = 300

// tryOut compares the table with the rules over random facts, half of them near facts
// that are open. It is what notices rules that do not fit into a table.
func (t *Table) tryOut(ctx context.Context) error {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // which facts are tried is no secret
	drawn := make([]Facts, tries)
	for i := range drawn {
		drawn[i] = t.draw(random, i%2 == 0)
	}
	return inParallel(tries, func(i int) error {
		want, err := t.revision.evaluateRules(ctx, &drawn[i])
		if err != nil {
			return err
		}
		if got := t.Plan(drawn[i]); !samePlan(&got, &want) {
			return fmt.Errorf("the rules do not fit into a table: for %s it says %+v and the rules %+v: %w", drawn[i].Canonical(), got, want, ErrPolicy)
		}
		return nil
	})
}

// draw returns random facts, or random ones near a cell that is open.
func (t *Table) draw(random *rand.Rand, near bool) Facts {
	cell := make([]int, fieldCount)
	for field := range cell {
		cell[field] = random.IntN(t.d.sizes[field])
	}
	if near {
		for at := t.allow; at > everything; {
			node := t.d.nodes[at]
			var open []int
			for value, to := range node.next {
				if to != nothing {
					open = append(open, value)
				}
			}
			if len(open) == 0 {
				break
			}
			cell[node.field] = open[random.IntN(len(open))]
			at = node.next[cell[node.field]]
		}
		for random.IntN(3) == 0 {
			field := random.IntN(fieldCount)
			cell[field] = random.IntN(t.d.sizes[field])
		}
	}
	facts := t.space.facts(cell)
	for random.IntN(2) == 0 {
		category := privacy.DataCategory(t.space.values[fieldCategory][random.IntN(t.d.sizes[fieldCategory])])
		if category == noCategory {
			continue
		}
		if random.IntN(2) == 0 {
			facts.Categories = append(slices.Clone(facts.Categories), category)
		} else {
			facts.Grants = append(slices.Clone(facts.Grants), category)
		}
	}
	return facts
}

// evaluateRules is the plan without what the catalogue adds to it.
func (r *Revision) evaluateRules(ctx context.Context, facts *Facts) (Plan, error) {
	value, err := evaluate(ctx, &r.plan, facts.value(r.words), r.activating())
	if err != nil {
		return Plan{}, err
	}
	return decodePlan(value, facts.Categories)
}

func samePlan(a, b *Plan) bool {
	return a.Allow == b.Allow && a.Basis == b.Basis && a.Ceiling == b.Ceiling && a.Persona == b.Persona &&
		slices.Equal(a.Failed, b.Failed) && slices.Equal(a.Granted, b.Granted) && slices.Equal(a.Denied, b.Denied) &&
		slices.Equal(a.Cleared, b.Cleared) && slices.Equal(a.Obligations, b.Obligations)
}
