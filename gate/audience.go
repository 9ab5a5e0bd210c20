package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Checks of audiences.
const (
	// CheckCondition: a column is not open for this purpose.
	CheckCondition = "condition.open"
	// CheckAudience is all that a recipient is told of an audience that is too small: how
	// many there are, and whether there is anybody, is not said.
	CheckAudience = "audience.large_enough"
)

// DefaultAudienceMinimum is the smallest audience that is answered, unless the purpose says
// otherwise.
const DefaultAudienceMinimum = 1000

const (
	// maxAudience bounds the people of one answer, which is held in memory until its log
	// entry is durable.
	maxAudience = 10_000_000
	// maxAudiences is how many audiences are looked for at once: each reads much.
	maxAudiences = 2
)

// Audience answers who may be reached. A denial is an answer and not an error. Nobody is in
// an audience whom the gate would not answer a single query about with the same columns:
// the database finds people by what the policies demand of them, turned into conditions,
// and then each of the kinds of people that it found is decided by the policies as well.
//
// The entry with the digest of the whole list is durable before anybody is named. Errors
// are those of [Gate.Ask].
func (g *Gate) Audience(ctx context.Context, principal privacy.Principal, query AudienceQuery) (Audience, error) {
	revision := g.engine.Revision()
	if revision == nil || g.config.Audiences == nil {
		return Audience{}, unavailable("asking for an audience without active policies and profiles")
	}
	s := g.sheets.of(revision)
	r, err := query.validate(s)
	if err != nil {
		return Audience{}, err
	}
	if err := s.fits(principal, query.Purpose, query.Channel, r.columns); err != nil {
		return Audience{}, err
	}
	a := audienceDecision{
		gate: g, sheet: s, principal: principal, request: r, question: r.question(principal),
		event: audit.Event{
			Kind: audit.AudienceDenied, Outcome: audit.Denied, Principal: principal,
			Purpose: query.Purpose, Channel: query.Channel, Policy: audit.Digest(s.digest),
		},
	}
	answer, err := a.decide(ctx)
	if err != nil {
		if !errors.Is(err, privacy.ErrInvalid) {
			g.counters.failed.Add(1)
		}
		return Audience{}, err
	}
	receipt, err := g.log.Append(ctx, a.event)
	if err != nil {
		g.counters.failed.Add(1)
		return Audience{}, notLogged(err)
	}
	if answer.answer.Decision == Allow {
		g.counters.allowed.Add(1)
	} else {
		g.counters.denied.Add(1)
	}
	return answer.Release(receipt)
}

// audienceDecision is one question about an audience on its way to an answer.
type audienceDecision struct {
	gate      *Gate
	sheet     *sheet
	principal privacy.Principal
	request   *audienceRequest
	question  policies.AudienceQuestion
	event     audit.Event

	laws  []privacy.Jurisdiction
	cells map[Cell]bool
	// obligations and reasons are those of everybody who was found.
	obligations []policies.ObligationID
	reasons     []policies.Reason
}

func (a *audienceDecision) decide(ctx context.Context) (PendingAudience, error) {
	open, denial, err := a.judgeQuestion(ctx)
	if err != nil || !open {
		return denial, err
	}
	filter, err := a.sheet.revision.AudienceFilter(ctx, a.question)
	if errors.Is(err, privacy.ErrUnavailable) {
		return PendingAudience{}, fmt.Errorf("deciding about an audience: %w", err)
	}
	if err != nil {
		return a.deny(CheckPolicy), nil
	}
	names, err := a.gate.pseudonyms.Of(a.principal.Recipient)
	if err != nil {
		return PendingAudience{}, fmt.Errorf("naming an audience: %w", err)
	}
	select {
	case a.gate.audiences <- struct{}{}:
		defer func() { <-a.gate.audiences }()
	default:
		return PendingAudience{}, unavailable("looking for more audiences at once")
	}
	members := memberList{names: names}
	at, err := a.find(ctx, filter, members.add)
	if named := members.finish(); err == nil {
		err = named
	}
	switch {
	case errors.Is(err, policies.ErrPolicy) && !errors.Is(err, privacy.ErrUnavailable):
		return a.deny(CheckPolicy), nil
	case err != nil:
		return PendingAudience{}, fmt.Errorf("looking for an audience: %w", err)
	case members.len() < a.minimum():
		return a.deny(CheckAudience), nil
	}
	members.sort()
	a.event.Kind, a.event.Outcome = audit.AudienceAnswered, audit.Allowed
	a.event.Attributes, a.event.List, a.event.Count = a.request.attributes(), members.digest(), uint64(members.len())
	purpose, _ := a.sheet.catalogue.Purpose(a.question.Purpose)
	slices.Sort(a.obligations)
	plan := policies.Plan{Obligations: slices.Compact(a.obligations)}
	d := decision{request: &request{}, state: state{at: at}}
	slices.SortFunc(a.reasons, func(x, y policies.Reason) int { return strings.Compare(x.Check, y.Check) })
	return PendingAudience{Audience{
		Decision: Allow, Size: members.len(), Pseudonyms: members.all, PolicyRevision: a.sheet.name, At: at,
		Obligations: d.obligations(&plan, purpose),
		Reasons:     slices.CompactFunc(a.reasons, func(x, y policies.Reason) bool { return x.Check == y.Check }),
	}}, nil
}

// find has add called for everybody in the audience, however few they are.
func (a *audienceDecision) find(ctx context.Context, filter policies.Filter, add func(privacy.DataSubjectID) error) (time.Time, error) {
	a.cells = map[Cell]bool{}
	return a.gate.config.Audiences.FindAudience(ctx, a.search(ctx, filter), func(id privacy.DataSubjectID, cell Cell) error {
		in, known := a.cells[cell]
		if !known {
			var err error
			if in, err = a.judgeCell(ctx, cell); err != nil {
				return err
			}
			a.cells[cell] = in
		}
		if !in {
			return nil
		}
		return add(id)
	})
}

// judgeQuestion finds what is wrong with the question itself, for whomever: it is decided
// about somebody with whom nothing is in the way.
func (a *audienceDecision) judgeQuestion(ctx context.Context) (open bool, denial PendingAudience, err error) {
	facts := ideal(a.sheet.revision.AudienceFacts(a.question, policies.SubjectFacts{}, policies.ConsentFacts{}), a.sheet)
	facts.Grants = nil
	plan, err := a.sheet.revision.Decide(ctx, facts)
	if errors.Is(err, privacy.ErrUnavailable) {
		return false, denial, fmt.Errorf("deciding about an audience: %w", err)
	}
	if err != nil {
		return false, a.deny(CheckPolicy), nil
	}
	if !plan.Allow {
		denial = a.deny("")
		denial.answer.Reasons, a.event.Checks = a.sheet.revision.Explain(plan), plan.Failed
		return false, denial, nil
	}
	for i := range a.request.columns {
		if a.request.levels[i] = a.level(i, &plan); a.request.levels[i] == policies.Withheld {
			return false, a.deny(CheckCondition), nil
		}
	}
	return true, denial, a.request.validateWords(a.sheet)
}

// level is how far a plan has a column open. A persona label stands for itself alone.
func (a *audienceDecision) level(column int, plan *policies.Plan) policies.Level {
	attribute := a.request.columns[column]
	l := ladder{plan: plan}
	level := l.level(attribute, a.sheet.revision.Verdict(a.question.Purpose, attribute.ID))
	if level == policies.Persona && attribute.ID != attributePersona {
		return policies.Withheld
	}
	return level
}

// judgeCell decides about everybody of a cell: whether the policies allow it, and whether
// every column is open as far as its words say.
func (a *audienceDecision) judgeCell(ctx context.Context, cell Cell) (bool, error) {
	subject, consent, ok := cell.Facts(a.laws)
	if !ok {
		return false, fmt.Errorf("judging an audience: %w", privacy.ErrDamaged)
	}
	plan, err := a.sheet.revision.Decide(ctx, a.sheet.revision.AudienceFacts(a.question, subject, consent))
	if err != nil {
		return false, fmt.Errorf("judging an audience: %w", err)
	}
	if !plan.Allow {
		// The filter has let somebody through whom the policies do not: it is wrong.
		a.gate.counters.disagreed.Add(1)
		return false, nil
	}
	for i, level := range a.request.levels {
		if a.level(i, &plan) != level {
			return false, nil
		}
	}
	a.obligations = append(a.obligations, plan.Obligations...)
	a.reasons = append(a.reasons, a.sheet.revision.Explain(plan)...)
	return true, nil
}

func (a *audienceDecision) minimum() int {
	if purpose, ok := a.sheet.catalogue.Purpose(a.question.Purpose); ok && purpose.AudienceMinimum > 0 {
		return purpose.AudienceMinimum
	}
	return DefaultAudienceMinimum
}

// deny makes a denial. It tells nothing but the check, which is about the question or says
// that there are too few.
func (a *audienceDecision) deny(check string) PendingAudience {
	denial := PendingAudience{Audience{Decision: Deny, PolicyRevision: a.sheet.name}}
	if check != "" {
		a.event.Checks = []string{check}
		denial.answer.Reasons = (&decision{sheet: a.sheet}).explain(check)
	}
	return denial
}

// search makes the question to the store.
func (a *audienceDecision) search(ctx context.Context, filter policies.Filter) AudienceSearch {
	v, s := a.gate.vault, a.sheet
	search := AudienceSearch{
		Purpose: a.question.Purpose, Channel: a.question.Channel, Shape: shapeTag(v, s), Filter: filter,
		LawNames: []privacy.Jurisdiction{policies.UnknownJurisdiction},
	}
	if a.gate.config.Now != nil {
		search.At = a.gate.config.Now()
	}
	for _, age := range CellAges {
		search.Ages = append(search.Ages, v.WordTag(tagAge, string(age)))
	}
	for _, household := range CellHouseholds {
		search.Households = append(search.Households, v.WordTag(tagHousehold, string(household)))
	}
	for n, id := range s.catalogue.Jurisdictions() {
		law, _ := s.catalogue.Jurisdiction(id)
		search.LawNames = append(search.LawNames, id)
		for _, code := range append([]string{string(id)}, law.Countries...) {
			search.Countries, search.Laws = append(search.Countries, code), append(search.Laws, int32(n+1))
		}
	}
	if purpose, _ := s.catalogue.Purpose(search.Purpose); purpose.Marketing {
		search.General = slices.DeleteFunc(slices.Clone(s.marketing), func(p privacy.Purpose) bool { return p == search.Purpose })
	}
	for i, condition := range a.request.query.Conditions {
		tags := make([]Tag, 0, len(condition.In))
		for _, word := range condition.In {
			// A label that too few share is told of nobody: two audiences, one with its people and
			// one without, would name them by their difference.
			if condition.Attribute == attributePersona && !a.gate.crowd.shared(ctx, s, policies.PersonaID(word)) {
				continue
			}
			tags = append(tags, valueTag(v, condition.Attribute, a.request.levels[i], word))
		}
		search.Tags = append(search.Tags, tags)
	}
	a.laws = search.LawNames
	return search
}
