package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// Comparison is what came of asking both ways. It holds numbers and names nobody.
type Comparison struct {
	// People is how many were asked about, Members how many of them are in the audience.
	People, Members int
	// Missing are people whom a single query is answered about and who are not in the
	// audience, Extra the other way round. Both are zero, or something is wrong.
	Missing, Extra int
}

// CompareAudience asks about each of some people both ways: whether they are in the
// audience, and whether a single query about them, with the columns of the conditions as
// attributes, is answered with values that meet them. How few the audience is plays no part;
// nobody is named, so there is no entry about the audience. The single queries are answered
// as always, with their entries.
//
// The question must have a condition, and its purpose must admit both acts.
func (g *Gate) CompareAudience(ctx context.Context, principal privacy.Principal, query AudienceQuery, people []privacy.DataSubjectID) (Comparison, error) {
	revision := g.engine.Revision()
	if revision == nil || g.config.Audiences == nil {
		return Comparison{}, unavailable("comparing without active policies and profiles")
	}
	s := g.sheets.of(revision)
	r, err := query.validate(s)
	if err == nil && len(query.Conditions) == 0 {
		err = refuse("/conditions", "must have a condition, to be compared with single queries")
	}
	if err != nil {
		return Comparison{}, err
	}
	names, err := g.pseudonyms.Of(principal.Recipient)
	if err != nil {
		return Comparison{}, fmt.Errorf("comparing: %w", err)
	}
	members := map[privacy.DataSubjectID]bool{}
	a := audienceDecision{gate: g, sheet: s, principal: principal, request: r, question: r.question(principal)}
	open, _, err := a.judgeQuestion(ctx)
	if err != nil {
		return Comparison{}, err
	}
	if open {
		filter, err := revision.AudienceFilter(ctx, a.question)
		if err != nil {
			return Comparison{}, fmt.Errorf("comparing: %w", err)
		}
		if _, err := a.find(ctx, filter, func(id privacy.DataSubjectID) error { members[id] = true; return nil }); err != nil {
			return Comparison{}, fmt.Errorf("comparing: %w", err)
		}
	}
	single := Query{Purpose: query.Purpose, Channel: query.Channel}
	for _, condition := range query.Conditions {
		single.Attributes = append(single.Attributes, condition.Attribute)
	}
	c := Comparison{People: len(people)}
	answers, err := eachPerson(people, func(id privacy.DataSubjectID) (bool, error) {
		name, err := names.Of(id)
		if err != nil {
			return false, err
		}
		one := single
		one.DataSubject.Pseudonym = string(name)
		answer, err := g.Ask(ctx, principal, one)
		return err == nil && answer.meets(query.Conditions), err
	})
	if err != nil {
		return Comparison{}, fmt.Errorf("comparing: %w", err)
	}
	for i, id := range people {
		if members[id] {
			c.Members++
		}
		switch {
		case answers[i] && !members[id]:
			c.Missing++
		case !answers[i] && members[id]:
			c.Extra++
		}
	}
	return c, nil
}

// meets reports whether an answer tells a value of each condition.
func (a *Answer) meets(conditions []AudienceCondition) bool {
	return a.Decision == Allow && !slices.ContainsFunc(conditions, func(c AudienceCondition) bool {
		told, ok := a.Attributes[c.Attribute]
		return !ok || len(told.Values) != 1 || !slices.Contains(c.In, told.Values[0].RevealPersonalData())
	})
}

// eachPerson asks about several people at a time.
func eachPerson(people []privacy.DataSubjectID, ask func(privacy.DataSubjectID) (bool, error)) ([]bool, error) {
	answers, errs := make([]bool, len(people)), make([]error, len(people))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 8 * runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(people); i = int(next.Add(1)) - 1 {
				answers[i], errs[i] = ask(people[i])
			}
		})
	}
	workers.Wait()
	return answers, errors.Join(errs...)
}
