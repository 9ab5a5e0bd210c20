package gate

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// AudienceStore finds people by what the policies demand of them and by their profiles.
type AudienceStore interface {
	// FindAudience calls found for everybody who meets the search, from one snapshot that
	// holds every change acknowledged before the call, until found returns an error. It
	// MUST leave out who does not exist (any more), and whose profile is of another shape,
	// marked or past its time.
	//
	// It returns the clock by which it looked. What goes wrong in found is returned as it is.
	FindAudience(ctx context.Context, search AudienceSearch, found func(id privacy.DataSubjectID, cell Cell) error) (time.Time, error)
}

// AudienceSearch is a question to the store.
type AudienceSearch struct {
	// At is the clock; zero: the database's.
	At      time.Time
	Purpose privacy.Purpose
	Channel privacy.Channel
	// General are further purposes, an objection to which binds this one.
	General []privacy.Purpose
	// Shape is that of the profiles which count.
	Shape Tag
	// Ages and Households are the tags of [CellAges] and [CellHouseholds], in their order.
	Ages, Households []Tag
	// Countries are the codes under a known law, and Laws the number of each one's law, from
	// one up. Any other country is under no law that is known, number 0.
	Countries []string
	Laws      []int32
	// LawNames are the names of the laws by number.
	LawNames []privacy.Jurisdiction
	// Filter is what the policies demand. Nobody passes [policies.FilterNone].
	Filter policies.Filter
	// Tags holds a list for each condition: a profile must have one of each.
	Tags [][]Tag
}

// Cell is what the policies can tell of one person of an audience, in few bits: people of
// one cell are judged alike. From the low end:
//
//	bits 0-1    age group, index in CellAges
//	bits 2-3    household, index in CellHouseholds
//	bits 4-6    state of consent, index in CellStates
//	bits 7-9    legal basis, index in CellBases
//	bit 10      consent is explicit
//	bit 11      consent was given for an incentive
//	bit 12      an objection covers the purpose
//	bit 13      processing is restricted
//	bits 14-    number of the law
type Cell uint32

// What the indexes in a [Cell] mean.
var (
	CellAges       = [...]policies.AgeGroup{policies.AgeUnknown, policies.Child, policies.Youth, policies.Adult}
	CellHouseholds = [...]policies.Household{policies.UnknownHousehold, policies.SharedHousehold, policies.SingleHousehold}
	CellStates     = [...]policies.ConsentState{
		policies.ConsentNeverAsked, policies.ConsentGranted, policies.ConsentWithdrawn,
		policies.ConsentRefused, policies.ConsentObjected, policies.ConsentExpired,
		policies.ConsentStaleNotice, policies.ConsentGuardianMissing,
	}
	CellBases = [...]privacy.LegalBasis{
		policies.NoBasis, privacy.Consent, privacy.Contract, privacy.LegalObligation,
		privacy.VitalInterests, privacy.PublicTask, privacy.LegitimateInterests,
	}
)

// Facts unpacks the cell, with the names of the laws by number. ok is false for one that means nothing.
func (c Cell) Facts(laws []privacy.Jurisdiction) (subject policies.SubjectFacts, consent policies.ConsentFacts, ok bool) {
	take := func(bits uint) int {
		v := int(c & (1<<bits - 1))
		c >>= bits
		return v
	}
	age, household, state, basis := take(2), take(2), take(3), take(3)
	explicit, incentive, objected, restricted := take(1), take(1), take(1), take(1)
	law := int(c)
	if household >= len(CellHouseholds) || state >= len(CellStates) || basis >= len(CellBases) || law >= len(laws) {
		return subject, consent, false
	}
	subject = policies.SubjectFacts{
		Known: policies.Yes, Age: CellAges[age], Jurisdiction: laws[law], Restricted: policies.YesNo(restricted == 1),
		Objected: policies.YesNo(objected == 1), Household: CellHouseholds[household],
	}
	consent = policies.ConsentFacts{
		State: CellStates[state], Explicit: policies.YesNo(explicit == 1), Basis: CellBases[basis], Incentive: policies.YesNo(incentive == 1),
	}
	return subject, consent, true
}
