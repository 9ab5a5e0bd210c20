package policies

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Mutation is the outcome of one attack.
type Mutation struct {
	// What was attacked.
	What string `json:"what"`
	// Mutants is how many there were; each counts once below.
	Mutants int `json:"mutants"`
	// Refused were not even looked at: the rules or the catalogue ended in an error.
	Refused int `json:"refused"`
	// Irrelevant changed nothing that a decision depends on, such as a title.
	Irrelevant int `json:"irrelevant"`
	// Denied left everything closed that was closed before.
	Denied int `json:"still_denied"`
	// Weakened left everything closed, and is weaker in something that is no decision: an
	// obligation, a window or a weight that is gone. [Diff] shows such a change.
	Weakened int `json:"weakened"`
	// Opened opened something. It must be 0.
	Opened int `json:"opened"`
	// Openings describes the first of those.
	Openings []string `json:"openings"`
}

// maxOpenings bounds how many openings are described.
const maxOpenings = 200

func (m *Mutation) open(format string, args ...any) {
	m.Opened++
	if len(m.Openings) < maxOpenings {
		m.Openings = append(m.Openings, fmt.Sprintf(format, args...))
	}
}

// MutateFacts attacks the rules with malformed facts. It takes requests that are denied
// for one reason each, and in the very document that the rules read deletes every value,
// makes it null, and gives it every other type: a rule that lets something pass because
// it could not look at it opens one of them.
func (r *Revision) MutateFacts(ctx context.Context) (Mutation, error) {
	total := Mutation{What: "facts"}
	var mu sync.Mutex
	purposes := r.catalogue.Purposes()
	err := inParallel(len(purposes), func(i int) error {
		requests, err := r.nearMisses(ctx, r.catalogue.purposes[purposes[i]])
		if err != nil {
			return err
		}
		for _, request := range requests {
			outcome := r.mutateRequest(ctx, request)
			mu.Lock()
			total.Mutants += outcome.Mutants
			total.Refused += outcome.Refused
			total.Denied += outcome.Denied
			total.Opened += outcome.Opened
			total.Openings = append(total.Openings, outcome.Openings...)
			mu.Unlock()
		}
		return ctx.Err()
	})
	slices.Sort(total.Openings)
	return total, err
}

// nearMisses returns requests for a purpose that are denied, each for something that was
// spoiled in a request that is not.
func (r *Revision) nearMisses(ctx context.Context, purpose *Purpose) ([]Facts, error) {
	good, ok, err := r.welcome(ctx, purpose)
	if err != nil || !ok {
		return nil, err
	}
	var requests []Facts
	for _, spoil := range spoilers {
		bad := good
		if !spoil.apply(&bad, purpose) || bad.Validate() != nil {
			continue
		}
		plan, err := r.probe(ctx, bad)
		if err != nil {
			return nil, err
		}
		if !plan.Allow {
			requests = append(requests, bad)
		}
	}
	return requests, nil
}

func (r *Revision) mutateRequest(ctx context.Context, request Facts) Mutation {
	var outcome Mutation
	try := func(where, what string, mutant *ast.Term) {
		outcome.Mutants++
		value, err := evaluate(ctx, &r.plan, mutant.Value, r.activating())
		if err != nil {
			outcome.Refused++
			return
		}
		plan, ok := value.(ast.Object)
		if !ok {
			outcome.Refused++
			return
		}
		allow := plan.Get(keyAllow)
		if allow != nil && allow.Value.Compare(ast.Boolean(false)) == 0 {
			outcome.Denied++
			return
		}
		outcome.open("%s with %s %s", request.Canonical(), where, what)
	}
	document := ast.NewTerm(request.value(r.words))
	eachPlace(document, nil, func(path []*ast.Term, value *ast.Term) {
		where := ""
		for _, step := range path {
			where += "/" + step.String()
		}
		try(where, "deleted", replaceAt(document, path, nil))
		for _, other := range otherTypes(value) {
			try(where, "as "+other.String(), replaceAt(document, path, other))
		}
	})
	return outcome
}

// otherTypes are values that are no value of the same kind. An empty list in the place of
// a list, or a shorter one, is another fact and not a malformed one.
func otherTypes(value *ast.Term) []*ast.Term {
	empty, word := ast.StringTerm(""), ast.StringTerm("x")
	others := []*ast.Term{
		ast.NullTerm(), ast.BooleanTerm(true), ast.BooleanTerm(false), ast.IntNumberTerm(0), ast.IntNumberTerm(1),
		ast.ObjectTerm(), ast.ObjectTerm(ast.Item(word, word)), ast.ArrayTerm(value), ast.SetTerm(value), empty,
		ast.ObjectTerm(ast.Item(value, ast.BooleanTerm(true))),
	}
	if _, list := value.Value.(*ast.Array); list {
		return append(others, word)
	}
	return append(others, ast.ArrayTerm())
}

// eachPlace visits every value in a document, the inner ones as well.
func eachPlace(term *ast.Term, path []*ast.Term, visit func(path []*ast.Term, value *ast.Term)) {
	if len(path) > 0 {
		visit(path, term)
	}
	switch value := term.Value.(type) {
	case ast.Object:
		value.Foreach(func(key, item *ast.Term) { eachPlace(item, append(slices.Clone(path), key), visit) })
	case *ast.Array:
		for i := range value.Len() {
			eachPlace(value.Elem(i), append(slices.Clone(path), ast.IntNumberTerm(i)), visit)
		}
	}
}

// replaceAt returns a document with another value at a path; nil deletes. An item of a
// list is not deleted, as a shorter list is another fact: it becomes undefined by
// becoming null.
func replaceAt(term *ast.Term, path []*ast.Term, with *ast.Term) *ast.Term {
	if len(path) == 0 {
		return with
	}
	switch value := term.Value.(type) {
	case ast.Object:
		changed := ast.NewObject()
		value.Foreach(func(key, item *ast.Term) {
			if key.Equal(path[0]) {
				item = replaceAt(item, path[1:], with)
			}
			if item != nil {
				changed.Insert(key, item)
			}
		})
		return ast.NewTerm(changed)
	case *ast.Array:
		items := make([]*ast.Term, value.Len())
		for i := range items {
			if items[i] = value.Elem(i); path[0].Equal(ast.IntNumberTerm(i)) {
				items[i] = replaceAt(items[i], path[1:], with)
			}
			if items[i] == nil {
				items[i] = ast.NullTerm()
			}
		}
		return ast.ArrayTerm(items...)
	}
	return term
}
