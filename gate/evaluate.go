package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Question asks whether a person's attributes may be told and in how much detail, and
// not for the values. It is what a policy enforcement point asks that has the data
// itself (AuthZEN).
type Question struct {
	// Query names person, purpose and channel. Without attributes it is about all that
	// the purpose admits.
	Query
	// RequireAll turns the decision into a denial unless every attribute has an effect.
	RequireAll bool
	// Negotiated is whether the caller says which obligations it can observe, and
	// Observes are those. One that is due and not among them is a denial.
	Negotiated bool
	Observes   []policies.ObligationID
}

// Effect is the most that may be told of one attribute. It follows from the catalogue
// and the plan alone and never from a value, so it says nothing about what is held; the
// answer to a query may hold less.
type Effect struct {
	Attribute privacy.AttributeName
	Level     policies.Level
	// To is the coarser attribute that takes its place at the level generalized, if the
	// catalogue names one.
	To privacy.AttributeName
	// Reasons are the checks that keep it from being told exactly, sorted.
	Reasons []string
}

// Evaluation is the answer to a [Question]. Its Answer has no attributes.
type Evaluation struct {
	Answer
	// Basis is the legal basis of an allowance.
	Basis privacy.LegalBasis
	// Effects are those of an allowance, in the order of the names.
	Effects []Effect
	// ValidUntil is when the answer must be asked for again at the latest; zero in a
	// denial. A withdrawal does not wait for it: it binds the next question.
	ValidUntil time.Time
}

// evaluationLife bounds how long an allowance may be acted upon.
const evaluationLife = time.Minute

// Checks of evaluations.
const (
	// CheckObserved: an obligation is due that the caller says it cannot observe.
	CheckObserved = "obligation.observed"
	// CheckCeiling: the legal basis carries no more detail.
	CheckCeiling = "basis.ceiling"
)

// Evaluate decides like [Gate.Ask], from the same facts and with the same evidence, and
// returns with the same errors; but it opens nothing beyond what the facts need, tells
// no value, and adds nothing to the exposure ledger.
func (g *Gate) Evaluate(ctx context.Context, principal privacy.Principal, question Question) (Evaluation, error) {
	revision := g.engine.Revision()
	if revision == nil {
		return Evaluation{}, unavailable("evaluating without an active policy")
	}
	s := g.sheets.of(revision)
	r, err := question.validate(s)
	if err != nil {
		return Evaluation{}, err
	}
	if err := s.fits(principal, r.Purpose, r.Channel, r.attributes); err != nil {
		return Evaluation{}, err
	}
	evaluation, err := g.evaluate(ctx, s, principal, r, &question)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		g.counters.failed.Add(1)
	}
	return evaluation, err
}

// validate checks the question against the catalogue. Where the query names no
// attributes it takes those that the purpose admits.
func (q *Question) validate(s *sheet) (*request, error) {
	if len(q.Attributes) > 0 {
		return q.Query.validate(s)
	}
	query := q.Query
	admitted := s.admitted[q.Purpose]
	if len(admitted) > 0 {
		query.Attributes = []privacy.AttributeName{admitted[0].ID}
	} else if s.knowsPurpose(q.Purpose) {
		return nil, refuse("/purpose", "admits no attribute")
	}
	r, err := query.validate(s)
	if err != nil {
		return nil, err
	}
	r.attributes = admitted
	return r, nil
}

func (g *Gate) evaluate(ctx context.Context, s *sheet, principal privacy.Principal, r *request, q *Question) (Evaluation, error) {
	m, err := g.meet(ctx, s, principal, r, g.evaluationLoad)
	if err != nil {
		return Evaluation{}, err
	}
	logged := false
	defer func() { m.settle(g.vault, logged) }()
	if m.damaged {
		answer, err := g.damaged(ctx, &m.decision)
		logged = err == nil
		return Evaluation{Answer: answer}, err
	}
	v, evaluation, err := m.evaluate(ctx, q)
	if err != nil {
		return Evaluation{}, err
	}
	receipt, err := g.commit(ctx, &m.decision, m.person, &m.snapshot, &v)
	if err != nil {
		return Evaluation{}, err
	}
	logged = true
	if m.hidden() {
		return Evaluation{}, fmt.Errorf("evaluating about a person: %w", privacy.ErrNotFound)
	}
	// What was worked out beside the answer leaves with it, or not at all.
	if evaluation.Answer, err = v.pending.Release(receipt); err != nil {
		return Evaluation{}, err
	}
	return evaluation, nil
}

// evaluationLoad is [Gate.loadQuery] without what only an answer with values needs.
func (g *Gate) evaluationLoad(s *sheet, principal privacy.Principal, r *request, id privacy.DataSubjectID) LoadQuery {
	bare := *r
	bare.attributes = nil
	load := g.loadQuery(s, principal, &bare, id)
	if r.caseID == (casework.ID{}) {
		load.Recipient = "" // a case is found by its recipient; nothing else here is
	}
	return load
}

// evaluate works the evaluation out, up to what the receipt adds.
func (d *decision) evaluate(ctx context.Context, q *Question) (verdict, Evaluation, error) {
	facts, current := d.request.facts(d.sheet, d.principal, &d.state)
	event := audit.Event{
		Kind: audit.QueryDenied, Outcome: audit.Denied,
		Principal: d.principal, Subject: d.subject,
		Purpose: d.request.Purpose, Channel: d.request.Channel,
		Policy: audit.Digest(d.sheet.digest), Facts: audit.Digest(facts.Digest()),
	}
	plan, err := d.sheet.revision.Decide(ctx, facts)
	d.made = made{facts, plan, err == nil}
	if errors.Is(err, privacy.ErrUnavailable) {
		return verdict{}, Evaluation{}, fmt.Errorf("evaluating: %w", err)
	}
	if err != nil {
		return d.deny(event, CheckPolicy, d.explain(CheckPolicy)), Evaluation{}, nil
	}
	if !plan.Allow {
		v := d.deny(event, "", d.visible(ctx, facts, plan))
		v.event.Checks = plan.Failed
		return v, Evaluation{}, nil
	}
	effects, told := d.effects(&plan)
	if told == 0 || q.RequireAll && told < len(effects) {
		return d.deny(event, CheckCategory, d.explain(CheckCategory)), Evaluation{}, nil
	}
	purpose, _ := d.sheet.catalogue.Purpose(d.request.Purpose)
	obligations := d.obligations(&plan, purpose)
	if q.Negotiated && slices.ContainsFunc(obligations, func(o Obligation) bool { return !slices.Contains(q.Observes, o.ID) }) {
		return d.deny(event, CheckObserved, d.explain(CheckObserved)), Evaluation{}, nil
	}
	event.Kind, event.Outcome = audit.QueryAnswered, audit.Allowed
	v := verdict{event: event, pending: Pending{Answer{
		Decision: Allow, Pseudonym: d.pseudonym, Obligations: obligations,
		Reasons: d.sheet.revision.Explain(plan), PolicyRevision: d.sheet.name,
	}}}
	return v, Evaluation{Basis: plan.Basis, Effects: effects, ValidUntil: d.validUntil(purpose, current, obligations)}, nil
}

// effects returns the effect on each attribute, and how many of them tell anything.
func (d *decision) effects(plan *policies.Plan) (effects []Effect, told int) {
	l := ladder{sheet: d.sheet, plan: plan}
	effects = make([]Effect, len(d.request.attributes))
	for i, a := range d.request.attributes {
		verdict := d.sheet.revision.Verdict(d.request.Purpose, a.ID)
		e := Effect{Attribute: a.ID, Level: l.level(a, verdict), Reasons: verdict.Reasons}
		if e.Level > policies.Withheld {
			told++
		}
		if e.Level == policies.Generalized && a.Generalize != nil {
			e.To = a.Generalize.Attribute
		}
		if !plan.Grants(a.Category) {
			e.Reasons = with(e.Reasons, CheckCategory)
		} else if plan.Ceiling < verdict.Max {
			e.Reasons = with(e.Reasons, CheckCeiling)
		}
		effects[i] = e
	}
	slices.SortFunc(effects, func(a, b Effect) int { return cmp.Compare(a.Attribute, b.Attribute) })
	return effects, told
}

// with returns the sorted reasons and one more. The list is the catalogue's, so it is
// never written to.
func with(reasons []string, check string) []string {
	at, found := slices.BinarySearch(reasons, check)
	if found {
		return reasons
	}
	return slices.Insert(slices.Clone(reasons), at, check)
}

// validUntil is the end of what an allowance stands on: the consent, the window of the
// trigger, a general objection that begins later. A minute is the most.
func (d *decision) validUntil(purpose *policies.Purpose, current consent.Current, obligations []Obligation) time.Time {
	end := d.state.at.Add(evaluationLife)
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	sooner(current.Until)
	if purpose.Marketing {
		for _, general := range d.sheet.marketing {
			sooner(d.state.fold(general, d.request.Channel).Until)
		}
	}
	for _, o := range obligations {
		sooner(o.UseBefore)
	}
	return end.UTC()
}
