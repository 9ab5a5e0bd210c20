package policies

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/mahrem/mahrem/privacy"
)

// Explain says in words why the plan is what it is: for a denial each check that did
// not pass, for an allowance the legal basis. Each comes with the articles behind it.
func (r *Revision) Explain(plan Plan) []Reason {
	if plan.Allow {
		return []Reason{r.Reason("basis." + string(plan.Basis))}
	}
	reasons := make([]Reason, len(plan.Failed))
	for i, check := range plan.Failed {
		reasons[i] = r.Reason(check)
	}
	return reasons
}

// Reason explains one check, also one that a [Verdict] names.
func (r *Revision) Reason(check string) Reason {
	if reason, ok := r.reasons[check]; ok {
		return reason
	}
	return Reason{Check: check}
}

// Checks returns every check that the rules explain, sorted by name.
func (r *Revision) Checks() []Reason {
	list := make([]Reason, 0, len(r.reasons))
	for _, reason := range r.reasons {
		list = append(list, reason)
	}
	slices.SortFunc(list, func(a, b Reason) int { return strings.Compare(a.Check, b.Check) })
	return list
}

// Required returns the checks that every request needs, sorted by name: a denial names
// those of them that did not pass.
func (r *Revision) Required() []string { return slices.Clone(r.required) }

// collectReasons reads the annotations of the rules. A check that several rules can
// pass is explained by the first of them, with the laws of all.
func collectReasons(modules map[string]*ast.Module) map[string]Reason {
	reasons := map[string]Reason{}
	for _, name := range sortedKeys(modules) {
		for _, annotation := range modules[name].Annotations {
			check, _ := annotation.Labels["check"].(string)
			if basis, ok := annotation.Labels["basis"].(string); ok {
				check = "basis." + basis
			}
			if check == "" {
				continue
			}
			laws, _ := annotation.Labels["law"].(string)
			reason, ok := reasons[check]
			if !ok {
				reason = Reason{Check: check, Title: annotation.Title}
			}
			for law := range strings.FieldsSeq(laws) {
				if !slices.Contains(reason.Laws, law) {
					reason.Laws = append(reason.Laws, law)
				}
			}
			reasons[check] = reason
		}
	}
	return reasons
}

// readRequired asks the rules which checks every request needs.
func (r *Revision) readRequired(ctx context.Context) ([]string, error) {
	query, err := prepare(ctx, r.compiler, r.store, requiredQuery)
	if err != nil {
		return nil, err
	}
	value, err := evaluate(ctx, &query, ast.NewObject(), r.activating())
	if err != nil {
		return nil, fmt.Errorf("reading required checks: %w", err)
	}
	required, ok := value.(ast.Set)
	if !ok || required.Len() == 0 {
		return nil, fmt.Errorf("reading required checks: not a set of names: %w", privacy.ErrInvalid)
	}
	var names []string
	required.Foreach(func(term *ast.Term) {
		name, _ := term.Value.(ast.String)
		names = append(names, string(name))
	})
	slices.Sort(names)
	return names, nil
}

// checkExplained refuses a required check that no rule explains with title and law, and
// a legal basis that none does.
func (r *Revision) checkExplained() error {
	for _, check := range append([]string{"basis.consent"}, r.required...) {
		if reason := r.reasons[check]; reason.Title == "" || len(reason.Laws) == 0 {
			return fmt.Errorf("checking explanations: check %s has no title or no law: %w", check, privacy.ErrInvalid)
		}
	}
	return nil
}
