package gate

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// state is what is known about the person before any category but the core is opened.
type state struct {
	known        bool
	jurisdiction privacy.Jurisdiction // as it is recorded
	restricted   bool
	core         vault.Record
	consents     []consent.Record
	// handled is whether the caller handles an open case of the person.
	handled bool
	// childhood is set by describe, for whom the date of birth is known.
	childhood consent.Childhood
	// at is the one clock of the decision.
	at time.Time
}

// facts turns a request and a state into what the policies see. It also returns the
// consent that the facts tell of.
func (r *request) facts(s *sheet, principal privacy.Principal, p *state) (policies.Facts, consent.Current) {
	purpose, _ := s.catalogue.Purpose(r.Purpose)
	f := policies.Facts{
		Action:     policies.Personalize,
		Role:       principal.Role,
		Recipient:  recipientOf(principal),
		Purpose:    r.Purpose,
		Channel:    r.Channel,
		Reference:  r.reference(),
		Trigger:    freshness(r.Trigger, purpose, p.at),
		Case:       policies.NoCase,
		Categories: r.categories(),
	}
	if p.handled {
		f.Case = policies.HandledCase
	}
	current := p.describe(&f, s, purpose)
	return f, current
}

// describe sets the facts about the person and their consent.
func (p *state) describe(f *policies.Facts, s *sheet, purpose *policies.Purpose) consent.Current {
	law := s.catalogue.JurisdictionOf(string(p.jurisdiction))
	f.Subject = policies.SubjectFacts{
		Known:        policies.YesNo(p.known),
		Age:          policies.AgeUnknown,
		Jurisdiction: law,
		Restricted:   policies.YesNo(p.restricted),
		Objected:     policies.No,
		Household:    policies.UnknownHousehold,
	}
	if birth, ok := BirthDate(p.core); ok {
		f.Subject.Age = s.catalogue.AgeGroup(law, birth, p.at)
		if len(p.consents) > 0 {
			p.childhood = ChildhoodOf(s.catalogue, law, birth)
		}
	}
	if household, ok := p.single(attributeHouse); ok {
		switch h := policies.Household(household); h {
		case policies.SingleHousehold, policies.SharedHousehold:
			f.Subject.Household = h
		}
	}
	current := p.fold(f.Purpose, f.Channel)
	if current.Objects() {
		f.Subject.Objected = policies.Yes
	}
	if purpose != nil && purpose.Marketing {
		for _, general := range s.marketing {
			if p.fold(general, f.Channel).Objects() {
				f.Subject.Objected = policies.Yes
			}
		}
	}
	f.Consent = policies.ConsentFacts{
		State:     policies.ConsentState(current.State),
		Explicit:  policies.YesNo(current.Explicit),
		Basis:     current.Basis,
		Incentive: policies.YesNo(current.Incentive),
	}
	if current.Basis == "" {
		f.Consent.Basis = policies.NoBasis
	}
	f.Grants = current.Categories
	return current
}

// single returns the one undisputed value of a core attribute. What was inferred or seen
// on a social network is no fact: nobody is of age by a guess.
func (p *state) single(name privacy.AttributeName) (string, bool) {
	field, ok := p.core[name]
	if !ok || len(field.Values) != 1 || field.Quality == vault.Disputed ||
		field.Source == vault.Inferred || field.Source == vault.Social {
		return "", false
	}
	return field.Values[0].RevealPersonalData(), true
}

// CoreCategory holds the date of birth.
const CoreCategory = categoryCore

// BirthDate returns the date of birth in somebody's core record, if there is one that counts:
// nobody is of age by a guess.
func BirthDate(core vault.Record) (string, bool) { return (&state{core: core}).single(attributeBirth) }

// ChildhoodOf tells when a law calls somebody a child, by the date of birth.
func ChildhoodOf(catalogue *policies.Catalogue, law privacy.Jurisdiction, birth string) consent.Childhood {
	return func(at time.Time) (bool, time.Time) {
		if catalogue.AgeGroup(law, birth, at) != policies.Child {
			return false, time.Time{}
		}
		return true, catalogue.ChildUntil(law, birth, at)
	}
}

// fold folds the records about one purpose. It comes after describe.
func (p *state) fold(purpose privacy.Purpose, channel privacy.Channel) consent.Current {
	records := p.consents
	for i := range records {
		if records[i].Purpose != purpose {
			records = consent.ForPurpose(records, purpose)
			break
		}
	}
	return consent.FoldFor(records, channel, p.at, p.childhood)
}

// recipientOf is the recipient as the policies name it.
func recipientOf(principal privacy.Principal) privacy.RecipientID {
	if principal.Recipient == "" {
		return policies.NoRecipient
	}
	return principal.Recipient
}

func (r *request) reference() policies.Reference {
	if r.DataSubject.Pseudonym != "" {
		return policies.ByPseudonym
	}
	return policies.ByIdentifier(r.DataSubject.Identifier.Kind)
}

// categories returns the categories of the requested attributes, sorted.
func (r *request) categories() []privacy.DataCategory {
	categories := make([]privacy.DataCategory, 0, len(r.attributes))
	for _, a := range r.attributes {
		if i, found := slices.BinarySearch(categories, a.Category); !found {
			categories = slices.Insert(categories, i, a.Category)
		}
	}
	return categories
}

// freshness compares a trigger with the purpose's window. One from the future is stale:
// no caller has seen it.
func freshness(t *Trigger, purpose *policies.Purpose, at time.Time) policies.Freshness {
	if t == nil {
		return policies.NoTrigger
	}
	age := at.Sub(t.OccurredAt)
	if purpose == nil || age < 0 || age >= purpose.TriggerWindow.Duration {
		return policies.StaleTrigger
	}
	return policies.FreshTrigger
}

// ideal returns the same question about somebody with whom nothing is in the way: an
// adult in a household of their own who agreed to everything. A check that fails for
// them fails because of the question, and says nothing about anybody.
func ideal(f policies.Facts, s *sheet) policies.Facts {
	f.Subject = policies.SubjectFacts{
		Known: policies.Yes, Age: policies.Adult, Jurisdiction: s.catalogue.JurisdictionOf(""),
		Restricted: policies.No, Objected: policies.No, Household: policies.SingleHousehold,
	}
	f.Consent = policies.ConsentFacts{
		State: policies.ConsentGranted, Explicit: policies.Yes, Basis: privacy.Consent, Incentive: policies.No,
	}
	f.Grants = f.Categories
	return f
}
