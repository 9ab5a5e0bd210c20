package policies_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// open returns a fresh engine with the built-in bundle.
func open(t testing.TB) *policies.Engine {
	t.Helper()
	engine, err := policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// shared is an engine with the built-in bundle for tests that only ask it.
var shared = sync.OnceValues(func() (*policies.Engine, error) {
	return policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
})

func revision(t testing.TB) *policies.Revision {
	t.Helper()
	engine, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return engine.Revision()
}

// shopper returns facts under which recommendations open: an adult in Czechia who
// agreed to recommendations in the web shop.
func shopper() policies.Facts {
	return policies.Facts{
		Action: policies.Personalize, Role: privacy.RoleService, Recipient: "web_shop",
		Purpose: "recommendations", Channel: "web", Reference: policies.ByPseudonym,
		Subject: policies.SubjectFacts{
			Known: policies.Yes, Age: policies.Adult, Jurisdiction: "CZ",
			Restricted: policies.No, Objected: policies.No, Household: policies.SharedHousehold,
		},
		Consent: policies.ConsentFacts{
			State: policies.ConsentGranted, Explicit: policies.No, Basis: privacy.Consent, Incentive: policies.No,
		},
		Trigger: policies.NoTrigger, Case: policies.NoCase,
		Categories: []privacy.DataCategory{"purchases", "health"},
	}
}

func decide(t testing.TB, r *policies.Revision, facts policies.Facts) policies.Plan {
	t.Helper()
	plan, err := r.Decide(context.Background(), facts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestDecideOpensWhatWasConsentedTo(t *testing.T) {
	t.Parallel()
	want := policies.Plan{
		Allow: true, Basis: privacy.Consent, Ceiling: policies.Exact,
		Granted: []privacy.DataCategory{"purchases"}, Denied: []privacy.DataCategory{"health"},
		Persona: true, Obligations: []policies.ObligationID{"no_postal_household"},
	}
	if diff := cmp.Diff(want, decide(t, revision(t), shopper())); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// TestObligations joins what the catalogue always demands with what the situation adds.
func TestObligations(t *testing.T) {
	t.Parallel()
	r := revision(t)
	for name, test := range map[string]struct {
		change func(*policies.Facts)
		want   []policies.ObligationID
	}{
		"recommendations": {func(*policies.Facts) {}, []policies.ObligationID{"no_postal_household"}},
		"pricing for an incentive": {func(f *policies.Facts) {
			f.Recipient, f.Purpose, f.Consent.Explicit, f.Consent.Incentive = "price_engine", "pricing", policies.Yes, policies.Yes
		}, []policies.ObligationID{"disclose_personalized_price", "no_detriment", "no_postal_household"}},
		"post to one person": {func(f *policies.Facts) {
			f.Recipient, f.Purpose, f.Channel, f.Subject.Household = "mail_house", "postal_offers", "postal", policies.SingleHousehold
		}, []policies.ObligationID{"closed_envelope", "easy_opt_out", "no_onward_transfer"}},
		"seen on a social network": {func(f *policies.Facts) {
			f.Recipient, f.Purpose = "social_listening", "social_engagement"
			f.Categories = []privacy.DataCategory{"social"}
		}, []policies.ObligationID{"no_onward_transfer", "no_postal_household", "no_source_reference"}},
		"a case": {func(f *policies.Facts) {
			f.Recipient, f.Purpose, f.Channel, f.Case = "support_desk", "support", "support", policies.HandledCase
			f.Categories = []privacy.DataCategory{"conversations"}
		}, []policies.ObligationID{"case_only"}},
		"denied": {func(f *policies.Facts) { f.Purpose = "pricing" }, nil},
	} {
		facts := shopper()
		test.change(&facts)
		if diff := cmp.Diff(test.want, decide(t, r, facts).Obligations); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := revision(t)
	for _, test := range []struct {
		purpose   privacy.Purpose
		attribute privacy.AttributeName
		want      policies.Level
	}{
		{"greeting", "first_name", policies.Exact},
		{"greeting", "email", policies.Withheld},
		{"greeting", "purchases.product_groups", policies.Withheld},
		{"recommendations", "purchases.product_groups", policies.Exact},
		{"recommendations", "location.precise", policies.Generalized},
		{"recommendations", "location.city", policies.Exact},
		{"recommendations", "health.conditions", policies.Withheld},
		{"recommendations", "health.pregnancy_due_month", policies.Generalized},
		{"special_offers_health", "health.conditions", policies.Exact},
		{"content", "purchases.product_groups", policies.Generalized},
		{"content", "persona", policies.Persona},
		{"pricing", "purchases.product_groups", policies.Persona},
		{"pricing", "spend.band", policies.Exact},
		{"pricing", "religion.affiliation", policies.Withheld},
		{"social_engagement", "social.interests", policies.Generalized},
		{"social_engagement", "social.last_post", policies.Withheld},
		{"curiosity", "first_name", policies.Withheld},
		{"greeting", "shoe_size", policies.Withheld},
	} {
		if got := r.Verdict(test.purpose, test.attribute).Max; got != test.want {
			t.Errorf("%s under %s: %v, want %v", test.attribute, test.purpose, got, test.want)
		}
	}
}
