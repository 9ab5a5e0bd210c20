package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// trafficPeople is how many people come.
const trafficPeople = 200_000

// measureHits plays a day of a shop: many people, of whom a few come all the time (Zipf
// 1.05), each with an age, a law, a household and consents of their own, and recipients
// that ask for what their purposes use. The ratio is that of the second half, when the
// memo has seen most of what there is.
func measureHits(ctx context.Context, on policyBench) ([]Row, error) {
	config := on.PolicyConfig
	engine := on.engine
	revision := engine.Revision()
	traffic := newTraffic(revision.Catalogue())
	before := policies.MemoStatus{}
	for n := range config.Requests {
		if n == config.Requests/2 {
			before = revision.Memo()
		}
		if _, err := revision.Decide(ctx, traffic.next()); err != nil {
			return nil, err
		}
	}
	after := revision.Memo()
	hits, misses := after.Hits-before.Hits, after.Misses-before.Misses
	return []Row{{
		What: "plans that were remembered, steady", Figure: 100 * float64(hits) / float64(hits+misses), Unit: "%",
		Note: fmt.Sprintf("%d people, Zipf 1.05, %d requests, %d kinds of question, %d plans kept", trafficPeople, config.Requests, len(traffic.questions), after.Entries),
	}}, nil
}

// traffic draws questions about people.
type traffic struct {
	random    *rand.Rand
	people    *rand.Zipf
	questions []policies.Facts
	countries []privacy.Jurisdiction
}

func newTraffic(c *policies.Catalogue) *traffic {
	random := rand.New(rand.NewPCG(11, 12)) //nolint:gosec // made-up traffic, the same on every run
	t := &traffic{
		random: random, people: rand.NewZipf(random, 1.05, 8, trafficPeople-1),
		countries: []privacy.Jurisdiction{"TR", "TR", "TR", "CZ", "CZ", "CZ", "DE", "EU", "UK", "FR", "US-CA", "BR"},
	}
	for _, id := range c.Recipients() {
		recipient, _ := c.Recipient(id)
		for _, wanted := range recipient.Purposes {
			purpose, _ := c.Purpose(wanted)
			for _, channel := range purpose.Channels {
				question := policies.Facts{
					Action: purpose.Actions[0], Role: privacy.RoleService, Recipient: id, Purpose: wanted, Channel: channel,
					Reference: policies.ByPseudonym, Trigger: policies.NoTrigger, Case: policies.NoCase,
				}
				if purpose.Trigger == policies.TriggerRequired {
					question.Trigger = policies.FreshTrigger
				}
				for _, category := range c.Categories() {
					if _, used := purpose.Categories[category]; used {
						question.Categories = append(question.Categories, category)
					}
				}
				t.questions = append(t.questions, question)
			}
		}
	}
	return t
}

// next is one question about one person. What a person is follows from their number, so
// that the same person is the same person again.
func (t *traffic) next() policies.Facts {
	person := t.people.Uint64()
	facts := t.questions[t.random.IntN(len(t.questions))]
	is := rand.New(rand.NewPCG(person, 1)) //nolint:gosec // made-up people
	facts.Subject = policies.SubjectFacts{
		Known: policies.Yes, Age: policies.Adult, Jurisdiction: t.countries[is.IntN(len(t.countries))],
		Restricted: policies.No, Objected: policies.No, Household: policies.SharedHousehold,
	}
	switch is.IntN(100) {
	case 0, 1, 2, 3:
		facts.Subject.Age = policies.Youth
	case 4:
		facts.Subject.Age = policies.Child
	case 5, 6:
		facts.Subject.Age = policies.AgeUnknown
	case 7:
		facts.Subject.Restricted = policies.Yes
	}
	if is.IntN(3) == 0 {
		facts.Subject.Household = policies.SingleHousehold
	}
	ofPurpose := rand.New(rand.NewPCG(person, stringSeed(string(facts.Purpose)))) //nolint:gosec // made-up people
	facts.Consent = policies.ConsentFacts{State: policies.ConsentGranted, Explicit: policies.No, Basis: privacy.Consent, Incentive: policies.No}
	switch n := ofPurpose.IntN(100); {
	case n < 25:
		facts.Consent.State, facts.Consent.Basis = policies.ConsentNeverAsked, policies.NoBasis
	case n < 33:
		facts.Consent.State = policies.ConsentRefused
	case n < 40:
		facts.Consent.State = policies.ConsentWithdrawn
	case n < 44:
		facts.Consent.State, facts.Subject.Objected = policies.ConsentObjected, policies.Yes
	case n < 47:
		facts.Consent.State = policies.ConsentExpired
	case n < 60:
		facts.Consent.Explicit = policies.Yes
	}
	if facts.Consent.Explicit == policies.Yes && ofPurpose.IntN(4) == 0 {
		facts.Grants = []privacy.DataCategory{"health"}
	}
	if ofPurpose.IntN(10) == 0 {
		facts.Consent.Incentive = policies.Yes
	}
	return facts
}

func stringSeed(s string) uint64 {
	seed := uint64(14695981039346656037)
	for i := range len(s) {
		seed = (seed ^ uint64(s[i])) * 1099511628211
	}
	return seed
}
