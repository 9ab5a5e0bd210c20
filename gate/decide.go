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

// Checks that are the gate's own and not the policies'.
const (
	// CheckDamaged: something stored about the person does not open. It stands in the log
	// and is told to a data protection officer; to a recipient it would say that there is
	// such a person.
	CheckDamaged = "data.intact"
	// CheckPolicy: the policies did not come to a decision.
	CheckPolicy = "policy.decides"
	// CheckScreened stands in the log of every answer in which a value could have
	// pointed to a protected inference, whether or not something was taken away: which
	// of the two it was must not be found out from the log.
	CheckScreened = "inference.screened"
	// CheckPerson is all that a recipient is told of why this person's data was denied:
	// unknown, erased, too young, never asked, refused, withdrawn, objected, restricted.
	CheckPerson = "person.not_available"
	// CheckCategory: a requested data category needs more than there is.
	CheckCategory = "category.not_granted"
	// CheckCase: the case that the query names is not an open one of this person and
	// recipient. It is told alike of people who are known and who are not.
	CheckCase = "case.open"
)

// verdict is a decision that has been worked out: what to answer, and what to write.
type verdict struct {
	pending Pending
	event   audit.Event
	// contributors are ledger keys that this answer tells.
	contributors []string
	suppressed   bool
}

// decision is one run of the gate's own logic, apart from reading and writing.
type decision struct {
	sheet     *sheet
	principal privacy.Principal
	request   *request
	state     state
	opener    opener
	told      ledger
	subject   audit.Subject
	pseudonym string
	tie       func(key string) uint64
	// unsure is whether the policies did not say what is wrong with the question: then as
	// little is told as if nothing were.
	unsure bool
	// shared reports whether enough people share a persona label; nil: nobody does.
	shared func(ctx context.Context, label policies.PersonaID) bool
	made   made
}

// decide works the answer out. What goes wrong is a denial with a name; only when the
// caller has gone away is it an error.
func (d *decision) decide(ctx context.Context) (verdict, error) {
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
		return verdict{}, fmt.Errorf("deciding: %w", err)
	}
	if err != nil {
		return d.deny(event, CheckPolicy, d.explain(CheckPolicy)), nil
	}
	if !plan.Allow {
		v := d.deny(event, "", d.visible(ctx, facts, plan))
		v.event.Checks = plan.Failed
		return v, nil
	}
	purpose, _ := d.sheet.catalogue.Purpose(d.request.Purpose)
	l := ladder{
		sheet: d.sheet, plan: &plan, opener: d.opener, law: facts.Subject.Jurisdiction, at: d.state.at,
		purpose: purpose, limits: d.sheet.limits(facts.Subject.Jurisdiction, purpose, current.Categories),
		told: d.told, tie: d.tie,
		shared: func(label policies.PersonaID) bool { return d.shared != nil && d.shared(ctx, label) },
	}
	out, err := l.run(d.request.attributes)
	if err != nil {
		return d.deny(event, CheckDamaged, d.damagedReasons(ctx, facts)), nil
	}
	event.Kind, event.Outcome = audit.QueryAnswered, audit.Allowed
	event.Attributes = released(out.attributes)
	if d.screened() {
		event.Checks = []string{CheckScreened}
	}
	reasons := out.reasons
	if len(plan.Denied) > 0 {
		reasons = append(reasons, CheckCategory)
	}
	reasons = append(reasons, d.caseReasons()...)
	return verdict{
		pending: Pending{Answer{
			Decision: Allow, Pseudonym: d.pseudonym, Attributes: out.attributes,
			Obligations:    d.obligations(&plan, purpose),
			Reasons:        append(d.sheet.revision.Explain(plan), d.explain(reasons...)...),
			PolicyRevision: d.sheet.name,
		}},
		event: event, contributors: out.contributors, suppressed: out.suppressed,
	}, nil
}

// deny makes a denial.
func (d *decision) deny(event audit.Event, check string, reasons []policies.Reason) verdict {
	if check != "" {
		event.Checks = []string{check}
	}
	return verdict{event: event, pending: Pending{Answer{
		Decision: Deny, Reasons: reasons, PolicyRevision: d.sheet.name,
	}}}
}

// visible returns the reasons of a denial as far as the caller may know them. A data
// protection officer sees the checks themselves. Everybody else is told what is wrong
// with the question; if nothing is, they are told that this person's data is not
// available, and never why.
func (d *decision) visible(ctx context.Context, facts policies.Facts, plan policies.Plan) []policies.Reason {
	if d.principal.MayKnowWhetherPersonExists() {
		return d.sheet.revision.Explain(plan)
	}
	return d.public(ctx, facts)
}

// damagedReasons returns the reasons of a denial because something does not open, as far
// as the caller may know them.
func (d *decision) damagedReasons(ctx context.Context, facts policies.Facts) []policies.Reason {
	if d.principal.MayKnowWhetherPersonExists() {
		return d.explain(CheckDamaged)
	}
	return d.public(ctx, facts)
}

// public returns the reasons that depend on the question alone: the same for every
// person, whether there is one or not.
func (d *decision) public(ctx context.Context, facts policies.Facts) []policies.Reason {
	best, err := d.sheet.revision.Decide(ctx, ideal(facts, d.sheet))
	d.unsure = err != nil
	if err != nil || best.Allow {
		return d.explain(append(d.caseReasons(), CheckPerson)...)
	}
	return append(d.sheet.revision.Explain(best), d.explain(d.caseReasons()...)...)
}

// caseReasons names the case, if the query names one that is not open.
func (d *decision) caseReasons() []string {
	if d.request.Case == "" || d.state.handled {
		return nil
	}
	return []string{CheckCase}
}

// explain returns the reasons for checks of the gate and of the catalogue.
func (d *decision) explain(checks ...string) []policies.Reason {
	var reasons []policies.Reason
	for _, check := range checks {
		reason := d.sheet.revision.Reason(check)
		for _, own := range ownReasons {
			if own.Check == check {
				reason = own
			}
		}
		reasons = append(reasons, reason)
	}
	return reasons
}

// IsOwnCheck reports whether the gate denies by that check what the policies allow.
func IsOwnCheck(check string) bool {
	return slices.ContainsFunc(ownReasons, func(own policies.Reason) bool { return own.Check == check })
}

var ownReasons = []policies.Reason{
	{Check: CheckDamaged, Title: "The stored data does not open", Laws: []string{"GDPR-5-1-f"}},
	{Check: CheckPolicy, Title: "The policies did not decide", Laws: []string{"GDPR-25-2"}},
	{Check: CheckPerson, Title: "This person's data is not available for this purpose on this channel", Laws: []string{"GDPR-5-1-a", "GDPR-6-1", "KVKK-5"}},
	{Check: CheckCase, Title: "The case that was named is not an open one of this person", Laws: []string{"GDPR-5-1-b", "KVKK-4-2-c"}},
	{Check: CheckCondition, Title: "Audiences may not be formed by one of these attributes for this purpose", Laws: []string{"GDPR-5-1-c", "GDPR-25-2", "KVKK-4-2-c"}},
	{Check: CheckAudience, Title: "There are too few people to answer", Laws: []string{"GDPR-5-1-c", "GDPR-recital-26", "KVKK-4-2-c"}},
	{Check: CheckCategory, Title: "A requested data category is not open here", Laws: []string{"GDPR-5-1-c", "GDPR-9-1", "KVKK-6-2"}},
	{Check: CheckObserved, Title: "The recipient observes what it is obliged to", Laws: []string{"GDPR-28-3-a", "GDPR-5-1-f"}},
	{Check: CheckCeiling, Title: "The legal basis carries this much detail", Laws: []string{"GDPR-5-1-c"}},
}

// obligations returns the plan's, with the time that belongs to use_before.
func (d *decision) obligations(plan *policies.Plan, purpose *policies.Purpose) []Obligation {
	if len(plan.Obligations) == 0 {
		return nil
	}
	list := make([]Obligation, len(plan.Obligations))
	for i, id := range plan.Obligations {
		list[i].ID = id
		if id != policies.UseBefore {
			continue
		}
		from, window := d.state.at, purpose.TriggerWindow.Duration
		if d.request.Trigger != nil {
			from = d.request.Trigger.OccurredAt
		}
		if window <= 0 {
			window = 24 * time.Hour
		}
		list[i].UseBefore = from.Add(window).UTC()
	}
	return list
}

// screened reports whether any requested attribute can point to an inference.
func (d *decision) screened() bool {
	return slices.ContainsFunc(d.request.attributes, func(a *attribute) bool { return a.screened })
}

// released returns the sorted names of what was released.
func released(attributes map[privacy.AttributeName]Released) []privacy.AttributeName {
	names := make([]privacy.AttributeName, 0, len(attributes))
	for name := range attributes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b privacy.AttributeName) int { return strings.Compare(string(a), string(b)) })
	return names
}

// exposureLabel binds a sealed ledger to its recipient.
func exposureLabel(recipient privacy.RecipientID) string { return "exposure/" + string(recipient) }

// unavailable is the error for "nothing was answered, ask again".
func unavailable(doing string) error { return fmt.Errorf("%s: %w", doing, privacy.ErrUnavailable) }
