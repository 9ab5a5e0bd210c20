package consent_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns the n-th minute of the story.
func at(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }

func grant(minute int, channel privacy.Channel, edit ...func(*consent.Record)) consent.Record {
	r := consent.Record{
		ID: [16]byte{byte(minute), 1}, Purpose: "newsletter", Channel: channel,
		Action: consent.Granted, Basis: privacy.Consent, NoticeVersion: "v1", Source: "web_form",
		EffectiveAt: at(minute),
	}
	for _, f := range edit {
		f(&r)
	}
	return r
}

func says(action consent.Action) func(*consent.Record) {
	return func(r *consent.Record) { r.Action = action }
}
func explicit(r *consent.Record) { r.Explicit = true }
func until(minute int) func(*consent.Record) {
	return func(r *consent.Record) { r.ValidUntil = at(minute) }
}

func TestFoldFollowsTheWrittenRules(t *testing.T) {
	t.Parallel()
	const email, any = privacy.Channel("email"), privacy.AnyChannel
	for name, c := range map[string]struct {
		records []consent.Record
		channel privacy.Channel
		at      int
		want    consent.State
	}{
		"nobody asked":                    {nil, email, 5, consent.StateNeverAsked},
		"granted":                         {[]consent.Record{grant(1, email)}, email, 5, consent.StateGranted},
		"granted this very moment":        {[]consent.Record{grant(5, email)}, email, 5, consent.StateGranted},
		"another channel":                 {[]consent.Record{grant(1, "sms")}, email, 5, consent.StateNeverAsked},
		"every channel":                   {[]consent.Record{grant(1, any)}, email, 5, consent.StateGranted},
		"grant dated later":               {[]consent.Record{grant(6, email)}, email, 5, consent.StateNeverAsked},
		"withdrawn":                       {[]consent.Record{grant(1, email), grant(2, email, says(consent.Withdrawn))}, email, 5, consent.StateWithdrawn},
		"withdrawn everywhere":            {[]consent.Record{grant(1, email), grant(2, any, says(consent.Withdrawn))}, email, 5, consent.StateWithdrawn},
		"withdrawn elsewhere":             {[]consent.Record{grant(1, any), grant(2, "sms", says(consent.Withdrawn))}, email, 5, consent.StateGranted},
		"reopened for one channel":        {[]consent.Record{grant(1, any, says(consent.Withdrawn)), grant(2, email)}, email, 5, consent.StateGranted},
		"only for that one":               {[]consent.Record{grant(1, any, says(consent.Withdrawn)), grant(2, email)}, "sms", 5, consent.StateWithdrawn},
		"granted again":                   {[]consent.Record{grant(1, email, says(consent.Withdrawn)), grant(2, email)}, email, 5, consent.StateGranted},
		"late arrival, older date":        {[]consent.Record{grant(2, email), grant(1, email, says(consent.Withdrawn))}, email, 5, consent.StateGranted},
		"tie":                             {[]consent.Record{grant(1, email), grant(1, email, says(consent.Withdrawn))}, email, 5, consent.StateWithdrawn},
		"tie across channels":             {[]consent.Record{grant(1, any, says(consent.Refused)), grant(1, email)}, email, 5, consent.StateRefused},
		"refused":                         {[]consent.Record{grant(1, email, says(consent.Refused))}, email, 5, consent.StateRefused},
		"before it ends":                  {[]consent.Record{grant(1, email, until(6))}, email, 5, consent.StateGranted},
		"at its end":                      {[]consent.Record{grant(1, email, until(5))}, email, 5, consent.StateExpired},
		"longer grant before":             {[]consent.Record{grant(1, any), grant(2, email, until(4))}, email, 5, consent.StateExpired},
		"tie of grants":                   {[]consent.Record{grant(1, email), grant(1, email, until(4))}, email, 5, consent.StateExpired},
		"objected":                        {[]consent.Record{grant(1, email), grant(2, any, says(consent.Objected))}, email, 5, consent.StateObjected},
		"routine opt-in after objection":  {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email)}, email, 5, consent.StateObjected},
		"withdrawn after objection":       {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email, says(consent.Withdrawn))}, email, 5, consent.StateObjected},
		"explicit opt-in after objection": {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email, explicit)}, email, 5, consent.StateGranted},
		"explicit, but on another basis":  {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email, explicit, func(r *consent.Record) { r.Basis = privacy.Contract })}, email, 5, consent.StateObjected},
		"that opt-in has ended":           {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email, explicit, until(4))}, email, 5, consent.StateObjected},
		"objection and explicit tie":      {[]consent.Record{grant(1, email, says(consent.Objected)), grant(1, email, explicit)}, email, 5, consent.StateObjected},
		"action from the future":          {[]consent.Record{grant(1, email), grant(2, email, says("paused"))}, email, 5, consent.StateRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := consent.Fold(c.records, c.channel, at(c.at)); got.State != c.want {
				t.Errorf("state %q, want %q", got.State, c.want)
			}
		})
	}
}

func TestFoldShowsWhatAGrantStandsOn(t *testing.T) {
	t.Parallel()
	r := grant(1, "email", explicit, until(9))
	r.Categories = []privacy.DataCategory{"health"}
	later := grant(7, "email", says(consent.Refused))
	got := consent.Fold([]consent.Record{later, r}, "email", at(5))
	want := consent.Current{
		State: consent.StateGranted, Record: r.ID, Basis: privacy.Consent, Explicit: true,
		Categories: r.Categories, NoticeVersion: "v1", Since: at(1), Until: at(7),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// history draws a random story of one purpose; small ranges make ties frequent.
func history(random *rand.Rand) []consent.Record {
	actions := []consent.Action{consent.Granted, consent.Granted, consent.Refused, consent.Withdrawn, consent.Objected}
	channels := []privacy.Channel{"email", "sms", privacy.AnyChannel}
	records := make([]consent.Record, random.IntN(9))
	for i := range records {
		r := grant(random.IntN(6), channels[random.IntN(3)], says(actions[random.IntN(5)]))
		r.ID = [16]byte{byte(i), byte(random.IntN(256))}
		if r.Action == consent.Granted {
			r.Explicit = random.IntN(2) == 0
			if random.IntN(3) == 0 {
				r.ValidUntil = r.EffectiveAt.Add(time.Duration(1+random.IntN(4)) * time.Minute)
			}
		}
		records[i] = r
	}
	return records
}

func TestFoldHoldsForEveryHistory(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 4_000 {
		records := history(random)
		channel := privacy.Channel([]string{"email", "sms"}[random.IntN(2)])
		moment := at(random.IntN(10))
		got := consent.Fold(records, channel, moment)

		shuffled := append([]consent.Record(nil), records...)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(got, consent.Fold(shuffled, channel, moment)); diff != "" {
			t.Fatalf("order changes the answer: %s\n%+v", diff, records)
		}
		var known []consent.Record
		for _, r := range records {
			if !r.EffectiveAt.After(moment) {
				known = append(known, r)
			}
		}
		past := consent.Fold(known, channel, moment)
		if past.State != got.State || past.Record != got.Record {
			t.Fatalf("the future changes the answer: %+v\n%+v", got, records)
		}
		for _, no := range []consent.Action{consent.Withdrawn, consent.Refused, consent.Objected} {
			for _, where := range []privacy.Channel{channel, privacy.AnyChannel} {
				last := grant(0, where, says(no))
				last.ID, last.EffectiveAt = [16]byte{0xff}, moment
				if c := consent.Fold(append(records, last), channel, moment); c.State == consent.StateGranted {
					t.Fatalf("%s for %q leaves the grant\n%+v", no, where, records)
				}
			}
		}
		if !got.Until.IsZero() {
			before := got.Until.Add(-time.Nanosecond)
			if c := consent.Fold(records, channel, before); c.State != got.State || c.Record != got.Record {
				t.Fatalf("changes before Until: %+v, then %+v\n%+v", got, c, records)
			}
		} else if c := consent.Fold(records, channel, at(1000)); c.State != got.State {
			t.Fatalf("changes although Until is never: %+v, then %+v\n%+v", got, c, records)
		}
		if got.State == consent.StateGranted && got.Until.IsZero() == false && !got.Until.After(moment) {
			t.Fatalf("a grant that ends in the past: %+v", got)
		}
	}
}
