package policies

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// Probe attacks the revision with facts that must be denied and returns how many it
// tried. It is what stands between a well-meant change of rules or catalogue and an open
// door, so it shares nothing with the rules but the facts.
//
// For every purpose it finds a person for whom the purpose opens, and then spoils one
// fact at a time: unknown, missing, malformed, or plainly forbidding. It does the same with
// a room for every purpose that may be measured in one. The error names
// the first spoiled fact that the rules let through and wraps [privacy.ErrInvalid].
func (r *Revision) Probe(ctx context.Context) (int, error) {
	purposes := r.catalogue.Purposes()
	var tried atomic.Int64
	err := inParallel(len(purposes), func(i int) error {
		n, err := r.probePurpose(ctx, r.catalogue.purposes[purposes[i]])
		tried.Add(int64(n))
		if err == nil {
			n, err = r.probeRoom(ctx, r.catalogue.purposes[purposes[i]])
			tried.Add(int64(n))
		}
		if err != nil {
			return fmt.Errorf("probing purpose %s: %w", purposes[i], err)
		}
		return nil
	})
	return int(tried.Load()), err
}

func (r *Revision) probePurpose(ctx context.Context, purpose *Purpose) (int, error) {
	good, ok, err := r.welcome(ctx, purpose)
	if err != nil || !ok {
		return 0, err
	}
	tried := 0
	for _, spoil := range spoilers {
		bad := good
		if !spoil.apply(&bad, purpose) {
			continue
		}
		tried++
		plan, err := r.probe(ctx, bad)
		if err != nil {
			return tried, fmt.Errorf("%s: %w", spoil.name, err)
		}
		if plan.Allow {
			return tried, fmt.Errorf("it is open although %s: %w", spoil.name, privacy.ErrInvalid)
		}
	}
	return tried, nil
}

// welcome looks for facts under which the purpose opens: some recipient, channel and
// action of those it names, for a person who agreed to everything.
func (r *Revision) welcome(ctx context.Context, purpose *Purpose) (Facts, bool, error) {
	facts := Facts{
		Role: privacy.RoleService, Purpose: purpose.ID, Reference: ByPseudonym, Trigger: NoTrigger, Case: HandledCase,
		Subject: SubjectFacts{Known: Yes, Age: Adult, Restricted: No, Objected: No, Household: SingleHousehold},
		Consent: ConsentFacts{State: ConsentGranted, Explicit: Yes, Basis: privacy.Consent, Incentive: No},
	}
	facts.Subject.Jurisdiction = r.catalogue.Jurisdictions()[0]
	if purpose.Trigger == TriggerRequired {
		facts.Trigger = FreshTrigger
	}
	facts.Categories = sortedKeys(purpose.Categories)
	for _, category := range facts.Categories {
		if r.catalogue.categories[category].Special {
			facts.Grants = append(facts.Grants, category)
		}
	}
	recipients := r.catalogue.Recipients()
	if purpose.Reidentification {
		facts.Role, recipients, facts.Categories = privacy.RoleDPO, []privacy.RecipientID{NoRecipient}, nil
	}
	// A purpose may open only for somebody who was never asked: what was refused is not
	// done on a legitimate interest.
	neverAsked := ConsentFacts{State: ConsentNeverAsked, Explicit: No, Basis: NoBasis, Incentive: No}
	for _, facts.Consent = range []ConsentFacts{facts.Consent, neverAsked} {
		for _, facts.Action = range purpose.Actions {
			for _, facts.Channel = range purpose.Channels {
				for _, facts.Recipient = range recipients {
					recipient := r.catalogue.recipients[facts.Recipient]
					if recipient != nil && !contains(recipient.Purposes, purpose.ID) {
						continue
					}
					if plan, err := r.probe(ctx, facts); err != nil || plan.Allow {
						return facts, plan.Allow, err
					}
				}
			}
		}
	}
	return facts, false, nil
}

// probe decides without the memo and with the limit of an activation.
func (r *Revision) probe(ctx context.Context, facts Facts) (Plan, error) {
	if facts.Validate() != nil {
		return deny(CheckWellFormed, nil), nil
	}
	return r.evaluate(ctx, &facts, r.activating())
}

func contains[T comparable](list []T, item T) bool {
	for _, candidate := range list {
		if candidate == item {
			return true
		}
	}
	return false
}

// spoilers turn facts that open a purpose into facts that must not. Each reports
// whether it applies to the purpose.
var spoilers = []struct {
	name  string
	apply func(*Facts, *Purpose) bool
}{
	{"the action is unknown", func(f *Facts, _ *Purpose) bool { f.Action = "unknown"; return true }},
	{"the role is unknown", func(f *Facts, _ *Purpose) bool { f.Role = "unknown"; return true }},
	{"an auditor asks", func(f *Facts, _ *Purpose) bool { f.Role = privacy.RoleAuditor; return true }},
	{"a service re-identifies", func(f *Facts, _ *Purpose) bool {
		f.Action, f.Role = Reidentify, privacy.RoleService
		return true
	}},
	{"the recipient is unknown", func(f *Facts, _ *Purpose) bool { f.Recipient = "unknown"; return true }},
	{"the channel is unknown", func(f *Facts, _ *Purpose) bool { f.Channel = "unknown"; return true }},
	{"the purpose is unknown", func(f *Facts, _ *Purpose) bool { f.Purpose = "unknown"; return true }},
	{"the reference is unknown", func(f *Facts, _ *Purpose) bool { f.Reference = "unknown"; return true }},
	{"the person is not known", func(f *Facts, _ *Purpose) bool { f.Subject.Known = No; return true }},
	{"it is unclear whether the person is known", func(f *Facts, _ *Purpose) bool { f.Subject.Known = Unknown; return true }},
	{"the jurisdiction is unknown", func(f *Facts, _ *Purpose) bool { f.Subject.Jurisdiction = UnknownJurisdiction; return true }},
	{"processing is restricted", func(f *Facts, p *Purpose) bool { f.Subject.Restricted = Yes; return !p.DespiteRestriction }},
	{"it is unclear whether processing is restricted", func(f *Facts, _ *Purpose) bool { f.Subject.Restricted = Unknown; return true }},
	{"the person objected", func(f *Facts, p *Purpose) bool { f.Subject.Objected = Yes; return !p.DespiteObjection }},
	{"it is unclear whether the person objected", func(f *Facts, _ *Purpose) bool { f.Subject.Objected = Unknown; return true }},
	{"a child would be profiled", func(f *Facts, p *Purpose) bool { f.Subject.Age = Child; return p.Profiling }},
	{"a youth would be profiled", func(f *Facts, p *Purpose) bool { f.Subject.Age = Youth; return p.Profiling }},
	{"a person of unknown age would be profiled", func(f *Facts, p *Purpose) bool { f.Subject.Age = AgeUnknown; return p.Profiling }},
	{"the age is malformed", func(f *Facts, _ *Purpose) bool { f.Subject.Age = "17"; return true }},
	{"consent was withdrawn", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentWithdrawn; return !lawObliges(p) }},
	{"consent was refused", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentRefused; return !lawObliges(p) }},
	{"the ledger holds an objection", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentObjected; return !lawObliges(p) }},
	{"consent has expired", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentExpired; return onlyConsent(p) }},
	{"nobody was asked", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentNeverAsked; return onlyConsent(p) }},
	{"consent was to an older wording", func(f *Facts, p *Purpose) bool {
		f.Consent.State = ConsentStaleNotice
		return onlyConsent(p) && p.StaleNotice != StaleKeep
	}},
	{"a child agreed without a guardian", func(f *Facts, p *Purpose) bool { f.Consent.State = ConsentGuardianMissing; return onlyConsent(p) }},
	{"the consent state is unknown", func(f *Facts, _ *Purpose) bool { f.Consent.State = "unknown"; return true }},
	{"consent was not explicit", func(f *Facts, p *Purpose) bool { f.Consent.Explicit = No; return p.Explicit && onlyConsent(p) }},
	{"it is unclear whether consent was explicit", func(f *Facts, _ *Purpose) bool { f.Consent.Explicit = Unknown; return true }},
	{"the trigger is stale", func(f *Facts, _ *Purpose) bool { f.Trigger = StaleTrigger; return true }},
	{"the trigger is missing", func(f *Facts, p *Purpose) bool { f.Trigger = NoTrigger; return p.Trigger == TriggerRequired }},
	{"the case is unknown", func(f *Facts, _ *Purpose) bool { f.Case = "unknown"; return true }},
	{"a fact is empty", func(f *Facts, _ *Purpose) bool { f.Subject.Household = ""; return true }},
	{"only unknown data is asked for", func(f *Facts, p *Purpose) bool {
		f.Categories = []privacy.DataCategory{"unknown"}
		return !p.Persona
	}},
}

func onlyConsent(p *Purpose) bool {
	_, ok := p.Bases[privacy.Consent]
	return ok && len(p.Bases) == 1
}

func lawObliges(p *Purpose) bool {
	_, ok := p.Bases[privacy.LegalObligation]
	return ok
}
