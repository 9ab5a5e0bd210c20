package gate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// channelChecks are what the channel table decides.
var channelChecks = []string{"channel.allowed", "channel.private_enough"}

// customer is an adult about whom something is held for every purpose.
func customer(household string, consents ...caseConsent) casePerson {
	text := func(values ...string) caseValues {
		return caseValues{Values: values, Source: "declared", Quality: "verified"}
	}
	return casePerson{
		Jurisdiction: "CZ",
		Attributes: map[privacy.AttributeName]caseValues{
			"birth_date": text("1980-01-01"), "household": text(household), "first_name": text("Jana"), "email": text("jana@example.com"),
			"postal_address": text("Dlouhá 1, Praha"), "persona": text("pet_friend"), "loyalty_tier": text("gold"), "location.city": text("Praha"),
			"location.region": text("Praha"), "preferences.interests": text("pets", "garden", "bakery"), "gender": text("f"),
			"health.allergies": text("nuts"), "conversations.last_topic": text("parcel"),
		},
		Purchases: []caseEvent{{Group: "pets", Amount: "30.00", DaysAgo: 2}, {Group: "bakery", Amount: "4.00", DaysAgo: 3}},
		Views:     []caseEvent{{Group: "garden", DaysAgo: 1}, {Kind: "cart", Group: "tools", DaysAgo: 0}},
		Consents:  consents,
	}
}

// scenarioAttributes are asked for by every question of these tests.
var scenarioAttributes = []privacy.AttributeName{
	"first_name", "email", "postal_address", "persona", "loyalty_tier", "location.city", "preferences.interests",
	"purchases.product_groups", "spend.band", "views.cart", "health.allergies", "conversations.last_topic",
}

// questions are one for each purpose that serves a recipient, with a recipient that is
// contracted for it and a trigger where it needs one.
func questions(s *sheet) map[privacy.Purpose]caseAsk {
	out := map[privacy.Purpose]caseAsk{}
	for _, id := range s.catalogue.Recipients() {
		recipient, _ := s.catalogue.Recipient(id)
		for _, purpose := range recipient.Purposes {
			p, _ := s.catalogue.Purpose(purpose)
			if p.Reidentification || !slices.Contains(p.Relationships, recipient.Relationship) {
				continue
			}
			ask := caseAsk{Recipient: id, Purpose: purpose, Attributes: scenarioAttributes}
			if p.Trigger == policies.TriggerRequired {
				ask.TriggerAge = "10m"
			}
			out[purpose] = ask
		}
	}
	return out
}

func mustPlay(t *testing.T, s *sheet, person casePerson, ask caseAsk) (Answer, audit.Event) {
	t.Helper()
	answer, event, err := (&caseEntry{Ask: ask}).play(t.Context(), s, &person)
	if err != nil {
		t.Fatalf("%s on %s: %v", ask.Purpose, ask.Channel, err)
	}
	return answer, event
}

// TestOneDecisionForEveryChannel (S16): what is decided about a person and a purpose does
// not depend on the channel, apart from what the channel table says: which channels the
// purpose uses, who else sees them, and what they always demand.
func TestOneDecisionForEveryChannel(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	answered, differing := 0, 0
	for purpose, ask := range questions(s) {
		grant := caseConsent{Purpose: purpose, Channel: "*", Action: "granted", Explicit: true, DaysAgo: 9}
		withdrawal := caseConsent{Purpose: purpose, Channel: "*", Action: "withdrawn"}
		for _, household := range []string{"single", "shared"} {
			teenager := customer(household, grant)
			teenager.Attributes["birth_date"] = caseValues{Values: []string{"2010-01-01"}, Source: "declared", Quality: "verified"}
			for name, person := range map[string]casePerson{
				"agreed": customer(household, grant), "never asked": customer(household), "teenager": teenager,
				"withdrew": customer(household, grant, withdrawal), "unknown": {Unknown: true},
			} {
				var reference *Answer
				var others []string
				for i, channel := range s.catalogue.Channels() {
					ask.Channel = channel
					answer, event := mustPlay(t, s, person, ask)
					where := fmt.Sprintf("%s, %s, living %s, on %s", purpose, name, household, channel)
					checks := slices.DeleteFunc(slices.Clone(event.Checks), func(c string) bool {
						return slices.Contains(channelChecks, c) || c == CheckScreened
					})
					if i == 0 {
						others = checks
					} else if !slices.Equal(checks, others) {
						t.Errorf("%s fails %v, and %v on %s", where, checks, others, s.catalogue.Channels()[0])
					}
					if answer.Decision != Allow {
						if !slices.ContainsFunc(event.Checks, func(c string) bool { return slices.Contains(channelChecks, c) }) && len(others) == 0 {
							t.Errorf("%s is denied for no reason of the channel table: %v", where, event.Checks)
						}
						continue
					}
					answered++
					c, _ := s.catalogue.Channel(channel)
					answer.Obligations = slices.DeleteFunc(answer.Obligations, func(o Obligation) bool { return slices.Contains(c.Obligations, o.ID) })
					if reference == nil {
						reference = &answer
					} else if differing++; !reflect.DeepEqual(answer.Attributes, reference.Attributes) ||
						fmt.Sprint(answer.obligations(), answer.checks()) != fmt.Sprint(reference.obligations(), reference.checks()) {
						t.Errorf("%s says something else than another channel", where)
					}
				}
			}
		}
	}
	if answered < 50 || differing < 30 {
		t.Errorf("%d answers, %d compared: the test compares too little", answered, differing)
	}
}

// TestObjectionToMarketingIsAbsolute (S6): it ends every marketing purpose, on every
// channel, whatever was agreed to, and nothing else.
func TestObjectionToMarketingIsAbsolute(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	before, after := 0, 0
	for purpose, ask := range questions(s) {
		p, _ := s.catalogue.Purpose(purpose)
		grant := caseConsent{Purpose: purpose, Channel: "*", Action: "granted", Explicit: true, DaysAgo: 9}
		objection := caseConsent{Purpose: "marketing", Channel: "*", Action: "objected", Basis: privacy.LegitimateInterests}
		for _, ask.Channel = range s.catalogue.Channels() {
			for _, consents := range [][]caseConsent{{grant}, {}} {
				agreed, _ := mustPlay(t, s, customer("single", consents...), ask)
				objected, event := mustPlay(t, s, customer("single", append(consents, objection)...), ask)
				if agreed.Decision == Allow {
					before++
				}
				switch {
				case p.Marketing && (objected.Decision == Allow || !slices.Contains(event.Checks, "subject.not_objected")):
					t.Errorf("%s on %s goes on after an objection to marketing: %v", purpose, ask.Channel, event.Checks)
				case !p.Marketing && !reflect.DeepEqual(objected, agreed):
					t.Errorf("%s on %s, which is no marketing, changes with an objection to marketing", purpose, ask.Channel)
				case !p.Marketing && objected.Decision == Allow:
					after++
				}
			}
		}
	}
	if before < 30 || after < 10 {
		t.Errorf("%d answers before, %d after: the test compares too little", before, after)
	}
}

// TestLeavingCostsNothingElse (S18): whoever takes back a consent that was given for
// something in return is treated for every other purpose like somebody who never gave
// it, and while it stands every answer that rests on it says that leaving may cost no
// more than the incentive.
func TestLeavingCostsNothingElse(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	asks := questions(s)
	deals := 0
	for purpose, deal := range asks {
		p, _ := s.catalogue.Purpose(purpose)
		if _, byConsent := p.Bases[privacy.Consent]; !byConsent {
			continue
		}
		given := caseConsent{Purpose: purpose, Channel: "*", Action: "granted", Explicit: true, Incentive: true, DaysAgo: 9}
		taken := caseConsent{Purpose: purpose, Channel: "*", Action: "withdrawn"}
		for _, deal.Channel = range p.Channels {
			answer, _ := mustPlay(t, s, customer("single", given), deal)
			if answer.Decision != Allow {
				continue
			}
			deals++
			if !slices.Contains(answer.obligations(), "no_detriment") {
				t.Errorf("%s on %s rests on an incentive and does not say so", purpose, deal.Channel)
			}
		}
		for other, ask := range asks {
			if other == purpose {
				continue
			}
			q, _ := s.catalogue.Purpose(other)
			own := caseConsent{Purpose: other, Channel: "*", Action: "granted", Explicit: true, DaysAgo: 20}
			for _, ask.Channel = range q.Channels {
				left, _ := mustPlay(t, s, customer("single", own, given, taken), ask)
				never, _ := mustPlay(t, s, customer("single", own), ask)
				if !reflect.DeepEqual(left, never) {
					t.Errorf("leaving %s changes %s on %s", purpose, other, ask.Channel)
				}
			}
		}
	}
	if deals < 10 {
		t.Errorf("only %d answers rest on an incentive", deals)
	}
}

// TestSituationsAreOneLine keeps the one-line situations of the cases, which commands
// print in a table, short and different.
func TestSituationsAreOneLine(t *testing.T) {
	t.Parallel()
	results, err := RunCases(t.Context(), policies.Bundle(), mustRevision(t))
	if err != nil {
		t.Fatal(err)
	}
	situations := map[string]string{}
	for _, r := range results {
		if len(r.Situation) > 140 || !strings.HasSuffix(r.Situation, ".") {
			t.Errorf("%s: %q is no short sentence", r.File, r.Situation)
		}
		if other, ok := situations[r.Situation]; ok && other != r.Scenario {
			t.Errorf("%s and %s have the same situation", other, r.Scenario)
		}
		situations[r.Situation] = r.Scenario
	}
}
