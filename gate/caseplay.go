package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/signal"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// play decides one case. Nothing is written, so the answer has no receipt.
func (c *caseEntry) play(ctx context.Context, s *sheet, person *casePerson) (Answer, audit.Event, error) {
	p, opened, err := person.state(s)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	principal := privacy.Principal{ID: "case", Role: c.Ask.Role, Recipient: c.Ask.Recipient}
	if principal.Role == "" {
		principal.Role = privacy.RoleService
	}
	query, err := c.Ask.query(person)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	switch c.Ask.Action {
	case "", policies.Personalize:
	case policies.Reidentify:
		decision, err := p.reidentification(ctx, s, principal, c.Ask.Purpose)
		if err != nil {
			return Answer{}, audit.Event{}, err
		}
		return yesOrNo(decision.Allow), audit.Event{Checks: decision.Checks}, nil
	case policies.Audience:
		return p.audience(ctx, s, principal, &query, c.Ask.Size)
	default:
		return Answer{}, audit.Event{}, fmt.Errorf("reading action: %w", privacy.ErrInvalid)
	}
	r, err := query.validate(s)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	p.consents = r.heed(s, &p)
	p.handled = person.handles(c.Ask.Case, principal.Recipient)
	d := decision{
		sheet: s, principal: principal, request: r, state: p, opener: opened,
		told: ledger(nil).with(person.Told, dayOf(caseClock)), tie: caseTie,
		shared: func(_ context.Context, label policies.PersonaID) bool {
			n, counted := person.sharing[label]
			return !counted || n >= s.catalogue.PersonaMinimum()
		},
	}
	v, err := d.decided(ctx)
	return v.pending.answer, v.event, err
}

// query is the question as the gate would get it.
func (a *caseAsk) query(person *casePerson) (Query, error) {
	query := Query{Purpose: a.Purpose, Channel: a.Channel, Attributes: a.Attributes}
	if a.By == "" || a.By == string(policies.ByPseudonym) {
		query.DataSubject.Pseudonym = "case"
	} else {
		query.DataSubject.Identifier = privacy.Identifier{Kind: privacy.IdentifierKind(a.By), Value: privacy.NewPlain("case")}
	}
	if a.TriggerAge != "" {
		age, err := time.ParseDuration(a.TriggerAge)
		if err != nil {
			return query, fmt.Errorf("reading trigger_age: %w", privacy.ErrInvalid)
		}
		query.Trigger = &Trigger{OccurredAt: caseClock.Add(-age)}
	}
	if given := a.Signals.given(); !given.IsZero() {
		query.Signals = signal.Read(given)
	}
	if a.Case != "" {
		query.Case = casework.ID{1}.String()
	}
	return query, nil
}

// audience asks whether the person may be in an audience, in both ways: by the rules, and
// by the filter over people that was made of them. There is no answer about one person,
// only the decision. size, if not zero, is how many people like this one there are.
func (p *state) audience(ctx context.Context, s *sheet, principal privacy.Principal, query *Query, size int) (Answer, audit.Event, error) {
	r, err := query.validate(s)
	if err != nil {
		return Answer{}, audit.Event{}, err
	}
	facts, _ := r.facts(s, principal, p)
	question := policies.AudienceQuestion{
		Role: facts.Role, Recipient: facts.Recipient, Purpose: facts.Purpose, Channel: facts.Channel, Categories: facts.Categories,
	}
	facts = s.revision.AudienceFacts(question, facts.Subject, facts.Consent)
	plan, err := s.revision.Decide(ctx, facts)
	for n := 1; n < patience && errors.Is(err, policies.ErrPolicy); n++ {
		plan, err = s.revision.Decide(ctx, facts)
	}
	if err != nil {
		return Answer{}, audit.Event{}, fmt.Errorf("deciding about an audience: %w", err)
	}
	filter, err := s.revision.AudienceFilter(ctx, question)
	if err != nil {
		return Answer{}, audit.Event{}, fmt.Errorf("filtering an audience: %w", err)
	}
	checks := plan.Failed
	if filter.Match(&facts) != plan.Allow {
		checks = append(slices.Clone(checks), "the filter differs from the rules")
	}
	a := audienceDecision{sheet: s, question: question}
	if plan.Allow && size > 0 && size < a.minimum() {
		denied := a.deny(CheckAudience)
		return Answer{Decision: Deny, Reasons: denied.answer.Reasons}, a.event, nil
	}
	return yesOrNo(plan.Allow), audit.Event{Checks: checks}, nil
}

func yesOrNo(allow bool) Answer {
	if allow {
		return Answer{Decision: Allow}
	}
	return Answer{Decision: Deny}
}

// patience is how often a case is decided where a query would be decided once.
const patience = 10

// decided decides without haste: an evaluation that ran into its time limit, because the
// machine had other things to do, says nothing about the rules and is made again.
func (d *decision) decided(ctx context.Context) (v verdict, err error) {
	for range patience {
		d.unsure = false
		v, err = d.decide(ctx)
		if err != nil || !d.unsure && !slices.Contains(v.event.Checks, CheckPolicy) {
			break
		}
	}
	return v, err
}

func caseTie(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return h.Sum64()
}

// handles reports whether the named case is an open one of this person and recipient.
func (c *casePerson) handles(name string, recipient privacy.RecipientID) bool {
	desk, ok := c.Desk[name]
	if !ok || desk.Recipient != recipient {
		return false
	}
	opened := casework.Case{OpenedAt: daysAgo(desk.DaysAgo), EndsAt: daysAgo(desk.DaysAgo).Add(casework.Life)}
	if desk.Closed {
		opened.ClosedAt = caseClock
	}
	return opened.IsOpen(caseClock)
}

// state builds the person.
func (c *casePerson) state(s *sheet) (state, *plainPerson, error) {
	p := state{known: !c.Unknown, jurisdiction: c.Jurisdiction, restricted: c.Restricted, at: caseClock}
	opened := &plainPerson{records: map[privacy.DataCategory]vault.Record{}, damaged: c.Damaged}
	for name, v := range c.Attributes {
		a := s.attributes[name]
		if a == nil {
			return state{}, nil, fmt.Errorf("attribute %s is not in the catalogue: %w", name, privacy.ErrInvalid)
		}
		field := vault.Field{Source: v.Source, Quality: v.Quality, ObservedAt: daysAgo(v.DaysAgo).Truncate(24 * time.Hour)}
		for _, value := range v.Values {
			field.Values = append(field.Values, privacy.NewPlain(value))
		}
		if opened.records[a.Category] == nil {
			opened.records[a.Category] = vault.Record{}
		}
		opened.records[a.Category][name] = field
	}
	p.core = opened.records[categoryCore]
	opened.streams = map[privacy.DataCategory][]event{
		"purchases": caseEvents("purchase", c.Purchases),
		"views":     caseEvents("view", c.Views),
	}
	for i, given := range c.Consents {
		record, err := given.record(i, s)
		if err != nil {
			return state{}, nil, err
		}
		p.consents = append(p.consents, record)
	}
	return p, opened, nil
}

// record makes the consent record that a case speaks of.
func (c *caseConsent) record(i int, s *sheet) (consent.Record, error) {
	record := consent.Record{
		ID: [16]byte{byte(i + 1)}, Purpose: c.Purpose, Channel: c.Channel, Action: c.Action, Basis: c.Basis,
		Explicit: c.Explicit, Categories: c.Categories, Incentive: c.Incentive, EffectiveAt: daysAgo(c.DaysAgo),
	}
	if record.Basis == "" {
		record.Basis = privacy.Consent
	}
	if record.Action == consent.GuardianGranted || record.Action == consent.GuardianWithdrawn {
		record.Actor = consent.ByGuardian
	}
	if record.GuardianVerified = c.Verified; c.Verified && record.Actor != consent.ByGuardian {
		return consent.Record{}, fmt.Errorf("consent %d: guardian_verified belongs to what a guardian did: %w", i+1, privacy.ErrInvalid)
	}
	if c.StaleDays > 0 {
		record.StaleAt = daysAgo(c.StaleDays)
	}
	if c.ValidDays > 0 {
		record.ValidUntil = record.EffectiveAt.AddDate(0, 0, c.ValidDays)
	}
	if _, ok := consent.ParseAction(string(record.Action)); !ok || !s.knowsPurpose(record.Purpose) {
		return consent.Record{}, fmt.Errorf("consent %d: unknown action or purpose: %w", i+1, privacy.ErrInvalid)
	}
	return record, nil
}

func daysAgo(n int) time.Time { return caseClock.AddDate(0, 0, -n) }

func caseEvents(kind string, given []caseEvent) []event {
	events := make([]event, len(given))
	for i, e := range given {
		events[i] = event{kind: cmp.Or(e.Kind, kind), at: daysAgo(e.DaysAgo), group: e.Group, amount: e.Amount}
	}
	return events
}

// plainPerson opens what was never sealed.
type plainPerson struct {
	records map[privacy.DataCategory]vault.Record
	streams map[privacy.DataCategory][]event
	damaged bool
}

func (p *plainPerson) record(category privacy.DataCategory) (vault.Record, error) {
	if p.damaged {
		return nil, fmt.Errorf("opening record: %w", privacy.ErrDamaged)
	}
	return p.records[category], nil
}

func (p *plainPerson) events(stream privacy.DataCategory) ([]event, error) {
	if p.damaged {
		return nil, fmt.Errorf("opening events: %w", privacy.ErrDamaged)
	}
	return p.streams[stream], nil
}
