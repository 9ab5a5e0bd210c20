package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/assembly"
)

// market: every situation of the market, played through the policies in force.
func (s *stage) market(ctx context.Context, act *Act) error {
	bundle, err := assembly.Bundle(ctx, s.house.Settings.Policies)
	if err != nil {
		return err
	}
	results, err := gate.RunCases(ctx, bundle, s.house.Engine.Revision())
	if err != nil {
		return err
	}
	scenarios := byScenario(results)
	act.Title = "The whole market, situation by situation"
	act.Text = fmt.Sprintf("These are the situations that customers of shops complain about, and those they welcome. Each stands in the policies as cases, a question "+
		"with the complete answer that is expected, and all %d were played just now, through the same decision and the same ladder that answered above. "+
		"Of each situation one case that is answered and one that is not:", len(results))
	t := act.table("", "", "situation", "is answered", "is not", "cases")
	failed, complete := 0, true
	for _, played := range scenarios {
		answered, denied := played.first(gate.Allow), played.first(gate.Deny)
		near := 0
		for _, r := range played {
			if r.NearMiss() {
				near++
			}
			if !r.Passed() {
				failed++
			}
		}
		complete = complete && answered != nil && denied != nil && near > 0
		t.row(played[0].Scenario, folded(played[0].Situation, 34), outcomeOf(answered), outcomeOf(denied),
			fmt.Sprintf("%d, %d near\nmisses", len(played), near))
		t.row("")
	}
	t.Rows = t.Rows[:max(0, len(t.Rows)-1)]
	act.After = "mahrem policy test plays them alone; mahrem policy explain says why, with the law."
	act.claim(failed == 0, "all %d cases come out as expected", len(results))
	act.claim(complete && len(scenarios) >= 18, "each of the %d situations has cases that are answered, that are not, and near misses", len(scenarios))
	return nil
}

// scenario is what was played of one situation.
type scenario []gate.CaseResult

// byScenario puts together what belongs together, in the order in which it was played.
func byScenario(results []gate.CaseResult) []scenario {
	var list []scenario
	for _, r := range results {
		i := slices.IndexFunc(list, func(s scenario) bool { return s[0].Scenario == r.Scenario })
		if i < 0 {
			list = append(list, nil)
			i = len(list) - 1
		}
		list[i] = append(list[i], r)
	}
	return list
}

// first is the first case with that decision, or nil.
func (s scenario) first(decision gate.Decision) *gate.CaseResult {
	for i := range s {
		if s[i].Decision == decision {
			return &s[i]
		}
	}
	return nil
}

// outcomeOf is a case in a table's cell: what it is about, and what came with it.
func outcomeOf(r *gate.CaseResult) string {
	if r == nil {
		return "nothing"
	}
	text := folded(r.Name, 34)
	var notes []string
	if r.Decision == gate.Allow {
		for _, o := range r.Obligations {
			notes = append(notes, string(o))
		}
	} else {
		notes = r.Reasons
	}
	if len(notes) > 0 {
		text += "\n[" + strings.Join(wrapped(notes, 32), "\n ") + "]"
	}
	return text
}
