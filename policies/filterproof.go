package policies

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// checkFilter puts a filter to the test before anybody relies on it: it judges sample
// people by the filter and by the rules, one fact changed at a time from people for whom
// most purposes open. A plan that demands more than its checks, or a translation gone
// wrong, is found out here, and then nobody is let through.
func (r *Revision) checkFilter(ctx context.Context, facts *Facts, filter Filter) error {
	for _, person := range r.samplePeople() {
		sample := *facts
		sample.Subject, sample.Consent = person.subject, person.consent
		plan, err := r.evaluate(ctx, &sample, r.activating())
		if err != nil {
			return fmt.Errorf("trying the filter: %w", err)
		}
		if plan.Allow != filter.Match(&sample) {
			return fmt.Errorf("trying the filter: it disagrees with the rules: %w", ErrPolicy)
		}
	}
	return nil
}

type samplePerson struct {
	subject SubjectFacts
	consent ConsentFacts
}

// samplePeople returns people who agreed to everything, were never asked, or have a
// contract, and each of them with every other value of every fact in turn.
func (r *Revision) samplePeople() []samplePerson {
	var people []samplePerson
	for _, consent := range [...]ConsentFacts{
		{State: ConsentGranted, Explicit: Yes, Basis: privacy.Consent, Incentive: No},
		{State: ConsentNeverAsked, Explicit: No, Basis: NoBasis, Incentive: No},
	} {
		good := samplePerson{SubjectFacts{
			Known: Yes, Age: Adult, Jurisdiction: r.catalogue.defaultLaw, Restricted: No, Objected: No,
			Household: SingleHousehold,
		}, consent}
		people = append(people, good)
		vary := func(change func(*samplePerson)) {
			other := good
			change(&other)
			people = append(people, other)
		}
		for _, answer := range [...]Answer{Yes, No, Unknown} {
			vary(func(p *samplePerson) { p.subject.Known = answer })
			vary(func(p *samplePerson) { p.subject.Restricted = answer })
			vary(func(p *samplePerson) { p.subject.Objected = answer })
			vary(func(p *samplePerson) { p.consent.Explicit = answer })
			vary(func(p *samplePerson) { p.consent.Incentive = answer })
		}
		for _, age := range [...]AgeGroup{Child, Youth, AgeUnknown} {
			vary(func(p *samplePerson) { p.subject.Age = age })
		}
		for _, jurisdiction := range append(r.catalogue.Jurisdictions(), UnknownJurisdiction) {
			vary(func(p *samplePerson) { p.subject.Jurisdiction = jurisdiction })
		}
		for _, household := range [...]Household{SharedHousehold, UnknownHousehold} {
			vary(func(p *samplePerson) { p.subject.Household = household })
		}
		for _, state := range ConsentStates() {
			vary(func(p *samplePerson) { p.consent.State = state })
		}
		for _, basis := range [...]privacy.LegalBasis{
			privacy.Consent, privacy.Contract, privacy.LegalObligation, privacy.LegitimateInterests, NoBasis,
		} {
			vary(func(p *samplePerson) { p.consent.Basis = basis })
		}
	}
	return people
}
