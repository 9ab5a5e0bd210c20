package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Impact is what a bundle would have changed about decisions that were made.
type Impact struct {
	// Policy is the candidate's digest.
	Policy audit.Digest
	Since  time.Time
	// Decisions is how many were made, Changed how many would have come out otherwise,
	// Unknown how many cannot be said anything about: their facts were not kept.
	Decisions, Changed, Unknown uint64
	// People are those whom the changed decisions were about.
	People People
	// Changes are sorted by how many decisions they concern, most first.
	Changes []Change
	// Receipt is the evidence that the decisions were gone through.
	Receipt audit.Receipt
}

// Change is what becomes different for one kind of person under one purpose.
type Change struct {
	Purpose privacy.Purpose
	// Who says whom it is about, as far as the facts do.
	Who Who
	// Opens and Closes say what: "everything", a data category, "persona label". Duties
	// are obligations that come (+) or go (-).
	Opens, Closes, Duties []string
	// Levels are released attributes that would be told in more or less detail, by name.
	Levels []LevelChange
	// Failed are the checks that the candidate's denial names.
	Failed    []string
	Decisions uint64
	People    People
}

// LevelChange is a change of how much of one attribute is told.
type LevelChange struct {
	Attribute privacy.AttributeName
	From, To  policies.Level
	// Decisions is how many released it.
	Decisions uint64
}

// Who are the facts about a person that a change is told by.
type Who struct {
	Known        policies.Answer
	Age          policies.AgeGroup
	Jurisdiction privacy.Jurisdiction
	Restricted   policies.Answer
	Objected     policies.Answer
	Consent      policies.ConsentState
	Explicit     policies.Answer
	Basis        privacy.LegalBasis
}

func whoOf(f *policies.Facts) Who {
	return Who{
		f.Subject.Known, f.Subject.Age, f.Subject.Jurisdiction, f.Subject.Restricted, f.Subject.Objected,
		f.Consent.State, f.Consent.Explicit, f.Consent.Basis,
	}
}

// People is how many people decisions were about.
type People struct {
	Count uint64
	// Bound says how Count is to be read.
	Bound Bound
}

// Bound is how a count of people is to be read.
type Bound string

// The bounds.
const (
	// AtLeast: these were counted, and a few may have been missed.
	AtLeast Bound = "at_least"
	// About: an estimate with a standard error of 4.4 %.
	About Bound = "about"
	// AtMost: the change concerns only a part of what these people's decisions released.
	AtMost Bound = "at_most"
)

// Impact decides everything again that was decided since the day of that time began (in
// UTC, as people are counted by the day), as if the candidate had been in force, and says
// what would have been different. What was released is compared
// by category, level and duty; what inference control would take away depends on values,
// which are not kept.
func (a *Archive) Impact(ctx context.Context, by privacy.Principal, candidate *policies.Revision, since time.Time) (Impact, error) {
	if !mayLook(by) {
		return Impact{}, fmt.Errorf("estimating impact: %w", privacy.ErrForbidden)
	}
	since = dayOf(since)
	w := weighing{archive: a, candidate: candidate, groups: map[weighedKey]*weighed{}, list: sha256.New()}
	if err := a.walk(ctx, since, w.add); err != nil {
		return Impact{}, fmt.Errorf("estimating impact: %w", err)
	}
	impact, err := w.run(ctx, since)
	if err != nil {
		return Impact{}, fmt.Errorf("estimating impact: %w", err)
	}
	impact.Policy, impact.Since = audit.Digest(candidate.Digest()), since
	impact.Receipt, err = a.logShown(ctx, by, impact.Policy, audit.Digest(w.list.Sum(nil)), impact.Decisions)
	return impact, err
}

// compare fills in what is different between the decision that was made and the one that
// the candidate makes. Released are the attributes that the recipient got; without the
// old revision their levels are not compared. It reports whether anything is different,
// and whether that follows from the plans alone, so that it holds for every decision on
// these facts.
func (c *Change) compare(old, candidate *policies.Revision, was, would *policies.Plan, released []privacy.AttributeName) (different, whole bool) {
	switch {
	case was.Allow && !would.Allow:
		c.Closes, c.Failed = []string{Everything}, would.Failed
		return true, true
	case !was.Allow && would.Allow:
		c.Opens = append([]string{Everything}, texts(would.Granted)...)
		return true, true
	case !was.Allow:
		return false, false
	}
	c.Opens = missing(would.Granted, was.Granted)
	c.Closes = missing(was.Granted, would.Granted)
	if would.Persona && !was.Persona {
		c.Opens = append(c.Opens, PersonaLabel)
	}
	if was.Persona && !would.Persona {
		c.Closes = append(c.Closes, PersonaLabel)
	}
	for _, id := range missing(would.Obligations, was.Obligations) {
		c.Duties = append(c.Duties, "+"+id)
	}
	for _, id := range missing(was.Obligations, would.Obligations) {
		c.Duties = append(c.Duties, "-"+id)
	}
	whole = len(c.Opens)+len(c.Closes)+len(c.Duties) > 0
	if old == nil {
		return whole, whole
	}
	for _, name := range released {
		before, after := reach(old, was, c.Purpose, name), reach(candidate, would, c.Purpose, name)
		if before != after && before != policies.Withheld {
			c.Levels = append(c.Levels, LevelChange{name, before, after, 0})
		}
	}
	return whole || len(c.Levels) > 0, whole
}

// join adds decisions of the same change.
func (c *Change) join(other *Change, decisions uint64) {
	c.Decisions += decisions
	for _, level := range other.Levels {
		at := slices.IndexFunc(c.Levels, func(l LevelChange) bool {
			return l.Attribute == level.Attribute && l.From == level.From && l.To == level.To
		})
		if at < 0 {
			at = len(c.Levels)
			c.Levels = append(c.Levels, level)
		}
		c.Levels[at].Decisions += decisions
	}
	slices.SortStableFunc(c.Levels, func(a, b LevelChange) int { return cmp.Compare(a.Attribute, b.Attribute) })
}

func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return list
}

// Words of changes that are no category and no attribute.
const (
	Everything   = "everything"
	PersonaLabel = "persona label"
)

// reach is the most that a plan lets out of one attribute.
func reach(r *policies.Revision, plan *policies.Plan, purpose privacy.Purpose, name privacy.AttributeName) policies.Level {
	attribute, ok := r.Catalogue().Attribute(name)
	if !ok || !plan.Grants(attribute.Category) {
		if ok && plan.Persona && attribute.Persona {
			return policies.Persona
		}
		return policies.Withheld
	}
	return min(r.Verdict(purpose, name).Max, plan.Ceiling)
}

// missing returns what is in one list and not in the other.
func missing[T ~string](list, from []T) []string {
	var out []string
	for _, item := range list {
		if !slices.Contains(from, item) {
			out = append(out, string(item))
		}
	}
	return out
}

// plans opens what was kept of a pair.
func plans(r *record) (facts policies.Facts, plan policies.Plan, err error) {
	if facts, err = policies.ParseFacts(r.facts); err != nil {
		return facts, plan, err
	}
	plan, err = policies.ParsePlan(r.plan)
	return facts, plan, err
}

// sortChanges puts those first that concern most decisions.
func sortChanges(changes []Change) {
	slices.SortFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b.Decisions, a.Decisions), cmp.Compare(a.Purpose, b.Purpose), cmp.Compare(a.key(), b.key()))
	})
}

// key is the same for changes that are told as one.
func (c *Change) key() string {
	return fmt.Sprintf("%s %+v %q %q %q %q", c.Purpose, c.Who, c.Opens, c.Closes, c.Duties, c.Failed)
}

// oldRevision is the revision that decided, or nil if its bundle is not there any more;
// then levels of single attributes are not compared.
func (a *Archive) oldRevision(ctx context.Context, policy audit.Digest) (*policies.Revision, error) {
	r, err := a.revision(ctx, policy)
	if errors.Is(err, privacy.ErrNotFound) || errors.Is(err, privacy.ErrDamaged) {
		return nil, nil
	}
	return r, err
}
