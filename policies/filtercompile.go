package policies

import (
	"context"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mahrem/mahrem/privacy"
)

// maxFilters bounds how many translated questions a revision remembers.
const maxFilters = 1024

// checkVar stands for the name of a check that is asked for.
const checkVar = ast.Var("check")

// personUnknowns are the parts of the facts that an audience is filtered by.
var personUnknowns = []*ast.Term{ast.MustParseTerm("input.subject"), ast.MustParseTerm("input.consent")}

// fieldRefs maps what a rule may say about a person to the field that holds it.
var fieldRefs = map[string]Field{
	"input.subject.known": FieldKnown, "input.subject.age": FieldAge, "input.subject.jurisdiction": FieldJurisdiction,
	"input.subject.restricted": FieldRestricted, "input.subject.objected": FieldObjected,
	"input.subject.household": FieldHousehold, "input.consent.state": FieldState, "input.consent.explicit": FieldExplicit,
	"input.consent.basis": FieldBasis, "input.consent.incentive": FieldIncentive,
}

// AudienceFilter says which people the rules would let this question see, as a condition
// on facts about a person: for everybody whom it matches [Revision.Decide] allows the
// [Revision.AudienceFacts], and for nobody else.
//
// It is made from the rules that decide single queries, not from a second copy: the
// checks are partially evaluated with the question known and the person unknown. A rule that cannot be translated is an error, which wraps [ErrPolicy],
// with a filter that lets nobody through.
func (r *Revision) AudienceFilter(ctx context.Context, q AudienceQuestion) (Filter, error) {
	facts := r.AudienceFacts(q, SubjectFacts{
		Known: Unknown, Age: AgeUnknown, Jurisdiction: UnknownJurisdiction, Restricted: Unknown, Objected: Unknown,
		Household: UnknownHousehold,
	}, ConsentFacts{State: ConsentNeverAsked, Explicit: Unknown, Basis: NoBasis, Incentive: Unknown})
	if facts.Validate() != nil {
		return Filter{}, nil
	}
	key := string(facts.Canonical())
	r.filtersMu.Lock()
	filter, ok := r.filters[key]
	r.filtersMu.Unlock()
	if ok {
		return filter, nil
	}
	filter, err := r.audienceFilter(ctx, &facts)
	if err != nil {
		return Filter{}, fmt.Errorf("making an audience filter: %w", err)
	}
	r.filtersMu.Lock()
	defer r.filtersMu.Unlock()
	if len(r.filters) >= maxFilters || r.filters == nil {
		r.filters = map[string]Filter{}
	}
	r.filters[key] = filter
	return filter, nil
}

func (r *Revision) audienceFilter(ctx context.Context, facts *Facts) (filter Filter, err error) {
	defer func() {
		if recover() != nil {
			filter, err = Filter{}, fmt.Errorf("panic: %w", ErrPolicy)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, r.activating())
	defer cancel()
	ways, question := map[string][]Filter{}, facts.value(r.words)
	for _, query := range [...]string{askedQuery, passedQuery} {
		if err = r.waysToPass(limited, query, question, ways); err != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		return Filter{}, fmt.Errorf("%w: %w", ctx.Err(), privacy.ErrUnavailable)
	case err != nil:
		return Filter{}, err
	case len(r.required) == 0:
		return Filter{}, fmt.Errorf("no check is required: %w", ErrPolicy)
	}
	checks := make([]Filter, len(r.required))
	for i, check := range r.required {
		checks[i] = anyOf(ways[check]) // a check that no rule passes shuts out everybody
	}
	filter = simplify(allOf(checks))
	if err := r.checkFilter(ctx, facts, filter); err != nil {
		return Filter{}, err
	}
	return filter, nil
}

// waysToPass adds, for each check that a query finds, for whom a rule passes it.
func (r *Revision) waysToPass(ctx context.Context, query string, question ast.Value, ways map[string][]Filter) error {
	checks := ast.MustParseRef(query).Append(ast.NewTerm(checkVar))
	body := ast.NewBody(ast.NewExpr(ast.NewTerm(checks)))
	prepared, err := rego.New(rego.ParsedQuery(body), rego.Compiler(r.compiler), rego.Store(r.store)).PrepareForPartial(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrPolicy)
	}
	partial, err := prepared.Partial(ctx, rego.EvalParsedInput(question), rego.EvalParsedUnknowns(personUnknowns), noMetrics)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", err, ErrPolicy)
	case len(partial.Support) > 0:
		return fmt.Errorf("rules that no condition can express: %w", ErrPolicy)
	}
	for _, body := range partial.Queries {
		var check string
		var terms []Filter // of nothing else: everybody
		for _, expr := range body {
			if name, ok := namesCheck(expr); ok && check == "" {
				check = name
				continue
			}
			term, err := translate(expr)
			if err != nil {
				return err
			}
			terms = append(terms, term)
		}
		if check == "" {
			return fmt.Errorf("a rule passes a check without a name: %w", ErrPolicy)
		}
		ways[check] = append(ways[check], allOf(terms))
	}
	return nil
}

// namesCheck returns the name that an expression gives to [checkVar].
func namesCheck(expr *ast.Expr) (string, bool) {
	if expr.Negated || len(expr.With) > 0 || !expr.IsEquality() {
		return "", false
	}
	left, right := expr.Operand(0).Value, expr.Operand(1).Value
	if _, ok := left.(ast.Var); !ok {
		left, right = right, left
	}
	name, ok := right.(ast.String)
	return string(name), ok && left.Compare(checkVar) == 0
}

// translate turns what is left of an expression into a condition: a comparison of one
// field with constants. The fragment is small on purpose.
func translate(expr *ast.Expr) (Filter, error) {
	fail := func() (Filter, error) {
		return Filter{}, fmt.Errorf("%s: outside of what a filter can say: %w", expr.Location, ErrPolicy)
	}
	operands := expr.Operands()
	if !expr.IsCall() || len(expr.With) > 0 || len(operands) != 2 {
		return fail()
	}
	left, right := operands[0], operands[1]
	condition := Condition{Op: In}
	switch expr.Operator().String() {
	case ast.Equality.Name, ast.NotEqual.Name:
		if _, ok := left.Value.(ast.Ref); !ok {
			left, right = right, left
		}
		word, ok := right.Value.(ast.String)
		if !ok {
			return fail()
		}
		condition.Values = []string{string(word)}
		if expr.Operator().String() == ast.NotEqual.Name {
			condition.Op = NotIn
		}
	case ast.Member.Name:
		values, ok := constants(right.Value)
		if !ok {
			return fail()
		}
		condition.Values = values
	default:
		return fail()
	}
	ref, ok := left.Value.(ast.Ref)
	if !ok {
		return fail()
	}
	if condition.Field, ok = fieldRefs[ref.String()]; !ok {
		return fail()
	}
	if expr.Negated {
		condition.Op = map[ConditionOp]ConditionOp{In: NotIn, NotIn: In}[condition.Op]
	}
	return where(condition), nil
}

// constants returns the words of a collection that consists of nothing else.
func constants(value ast.Value) ([]string, bool) {
	var words []string
	other := func(term *ast.Term) bool {
		word, ok := term.Value.(ast.String)
		words = append(words, string(word))
		return !ok
	}
	switch collection := value.(type) {
	case *ast.Array:
		if collection.Until(other) {
			return nil, false
		}
	case ast.Set:
		if collection.Until(other) {
			return nil, false
		}
	default:
		return nil, false
	}
	return words, true
}
