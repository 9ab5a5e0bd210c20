package retention

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func TestRefusals(t *testing.T) {
	t.Parallel()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	yes := func(p privacy.Purpose, ch privacy.Channel) Choice {
		return Choice{Purpose: p, Channel: ch, Granted: true}
	}
	no := func(p privacy.Purpose, ch privacy.Channel) Choice { return Choice{Purpose: p, Channel: ch} }
	for name, test := range map[string]struct {
		choices []Choice
		purpose privacy.Purpose
		want    bool
	}{
		"nothing said":                      {nil, "newsletter", false},
		"refused":                           {[]Choice{no("newsletter", "*")}, "newsletter", true},
		"another purpose":                   {[]Choice{no("newsletter", "*")}, "analytics", false},
		"on one of two channels":            {[]Choice{yes("newsletter", "email"), no("newsletter", "sms")}, "newsletter", false},
		"on every channel spoken of":        {[]Choice{no("newsletter", "email"), no("newsletter", "sms")}, "newsletter", true},
		"everywhere after one channel":      {[]Choice{yes("newsletter", "email"), no("newsletter", "*")}, "newsletter", true},
		"one channel again":                 {[]Choice{no("newsletter", "*"), yes("newsletter", "email")}, "newsletter", false},
		"marketing as a whole":              {[]Choice{yes("newsletter", "email"), no("marketing", "*")}, "newsletter", true},
		"marketing, and no marketing":       {[]Choice{no("marketing", "*")}, "support", false},
		"marketing, and an unknown purpose": {[]Choice{no("marketing", "*")}, "gossip", false},
	} {
		if got := refusals(c, test.choices)(test.purpose); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// The moment at which a period ends is the first at which it is over, on both sides.
func TestJudge(t *testing.T) {
	t.Parallel()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	contact := func(years int) time.Time { return at.AddDate(-years, 0, 0) }
	for name, test := range map[string]struct {
		category  privacy.DataCategory
		attribute privacy.AttributeName
		happened  time.Time
		contact   time.Time
		holds     []dsar.HoldScope
		want      verdict
	}{
		"just in its period":                {"devices", "", policies.Period{Months: 13}.Before(at).Add(time.Hour), contact(0), nil, kept},
		"just over":                         {"devices", "", time.Date(2025, 2, 15, 12, 0, 0, 0, time.UTC), contact(0), nil, expired},
		"old, from the last contact":        {"contact", "email", contact(9), contact(1), nil, kept},
		"new, and long not heard of":        {"contact", "email", contact(0), contact(4), nil, expired},
		"held as everything":                {"devices", "", contact(9), contact(0), []dsar.HoldScope{{}}, held},
		"held as a category":                {"devices", "devices.kind", contact(9), contact(0), []dsar.HoldScope{{Category: "devices"}}, held},
		"another category is held":          {"devices", "devices.kind", contact(9), contact(0), []dsar.HoldScope{{Category: "contact"}}, expired},
		"another attribute is held":         {"contact", "email", contact(9), contact(9), []dsar.HoldScope{{Category: "contact", Attribute: "phone"}}, expired},
		"one of two holds covers it":        {"contact", "email", contact(9), contact(9), []dsar.HoldScope{{Category: "views"}, {Category: "contact", Attribute: "email"}}, held},
		"a category that has no period":     {"nothing", "", contact(90), contact(90), nil, kept},
		"an event of the future":            {"devices", "", at.AddDate(5, 0, 0), contact(0), nil, kept},
		"held, but still within its period": {"devices", "", at, contact(0), []dsar.HoldScope{{}}, kept},
	} {
		j := newJudge(c, at, test.contact, nil, test.holds)
		if got := j.of(test.category, test.attribute, test.happened); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
		if j.due.After(at.Add(lookAgain)) || !j.due.After(at) {
			t.Errorf("%s: looked at again %v", name, j.due)
		}
	}
	// The first thing to end decides when the person is looked at again.
	j := newJudge(c, at, at, nil, nil)
	j.of("devices", "", policies.Period{Months: 13}.Before(at).Add(72*time.Hour))
	if j.due.Sub(at) > 5*24*time.Hour {
		t.Errorf("looked at again in %v", j.due.Sub(at))
	}
	// A word of theirs is a contact; an event in the future is none.
	j = newJudge(c, at, contact(9), []Choice{{Purpose: "newsletter", At: contact(1)}, {Purpose: "newsletter", At: at.AddDate(1, 0, 0)}}, nil)
	j.sees(at.AddDate(1, 0, 0))
	if !j.lastContact.Equal(contact(1)) {
		t.Errorf("last contact %v", j.lastContact)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte("mahrem destruction report v1\ndata {}\n\n— shop.example/audit/retention AAAA\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, signed []byte) {
		if report, err := ParseReport(signed, nobody{}); err == nil || report != nil {
			t.Fatal("a report that nobody signed was believed")
		}
	})
}

// nobody verifies nothing.
type nobody struct{}

func (nobody) Name() string            { return "shop.example/audit/retention" }
func (nobody) KeyHash() uint32         { return 0 }
func (nobody) Verify(_, _ []byte) bool { return false }
