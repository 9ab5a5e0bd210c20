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
func verified(r *consent.Record) { r.Actor, r.GuardianVerified = consent.ByGuardian, true }
func stale(minute int) func(*consent.Record) {
	return func(r *consent.Record) { r.StaleAt = at(minute) }
}

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
		"renewed":                         {[]consent.Record{grant(1, email, until(3)), grant(2, email, says(consent.Renewed))}, email, 5, consent.StateGranted},
		"noted that it ended":             {[]consent.Record{grant(1, email), grant(2, any, says(consent.Expired))}, email, 5, consent.StateExpired},
		"granted when it ended":           {[]consent.Record{grant(2, email), grant(2, email, says(consent.Expired))}, email, 5, consent.StateExpired},
		"granted after it ended":          {[]consent.Record{grant(2, email, says(consent.Expired)), grant(3, email)}, email, 5, consent.StateGranted},
		"an end alone":                    {[]consent.Record{grant(2, email, says(consent.Expired))}, email, 5, consent.StateExpired},
		"an end weakens no withdrawal":    {[]consent.Record{grant(1, email, says(consent.Withdrawn)), grant(2, any, says(consent.Expired))}, email, 5, consent.StateWithdrawn},
		"an end weakens no objection":     {[]consent.Record{grant(1, any, says(consent.Objected)), grant(2, email, explicit), grant(3, any, says(consent.Expired))}, email, 5, consent.StateObjected},
		"a guardian's no":                 {[]consent.Record{grant(1, email), grant(2, any, says(consent.GuardianWithdrawn))}, email, 5, consent.StateWithdrawn},
		"a guardian of nobody knows whom": {[]consent.Record{grant(1, email, says(consent.GuardianGranted), verified)}, email, 5, consent.StateExpired},
		"an older wording":                {[]consent.Record{grant(1, email, stale(5))}, email, 5, consent.StateStaleNotice},
		"a wording that will be older":    {[]consent.Record{grant(1, email, stale(6))}, email, 5, consent.StateGranted},
		"an older wording that ended":     {[]consent.Record{grant(1, email, stale(3), until(4))}, email, 5, consent.StateExpired},
		"an older wording is no opt-in":   {[]consent.Record{grant(1, email, says(consent.Objected)), grant(2, email, explicit, stale(4))}, email, 5, consent.StateObjected},
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
	actions := []consent.Action{
		consent.Granted, consent.Granted, consent.Renewed, consent.GuardianGranted, consent.Refused, consent.Withdrawn,
		consent.GuardianWithdrawn, consent.Expired, consent.Objected, consent.Objected,
	}
	channels := []privacy.Channel{"email", "sms", privacy.AnyChannel}
	records := make([]consent.Record, random.IntN(9))
	for i := range records {
		r := grant(random.IntN(6), channels[random.IntN(3)], says(actions[random.IntN(len(actions))]))
		r.ID = [16]byte{byte(i), byte(random.IntN(256))}
		r.RecordedAt = r.EffectiveAt.Add(time.Duration(random.IntN(3)*2) * time.Minute)
		r.Actor = consent.ByDataSubject
		if r.Action == consent.GuardianGranted || r.Action == consent.GuardianWithdrawn || r.Action == consent.Renewed && random.IntN(3) == 0 {
			r.Actor, r.GuardianVerified = consent.ByGuardian, random.IntN(3) > 0
		}
		if r.Action.IsYes() {
			r.Explicit = random.IntN(2) == 0
			if random.IntN(3) == 0 {
				r.ValidUntil = r.EffectiveAt.Add(time.Duration(1+random.IntN(4)) * time.Minute)
			}
			if random.IntN(4) == 0 {
				r.StaleAt = at(random.IntN(9))
			}
		}
		records[i] = r
	}
	return records
}

// grewUp is the childhood of somebody who was a child until a minute of the story.
func grewUp(minute int) consent.Childhood {
	return func(moment time.Time) (bool, time.Time) {
		if moment.Before(at(minute)) {
			return true, at(minute)
		}
		return false, time.Time{}
	}
}

// childhoods draws one: of nobody knows what age, of an adult, of somebody who grows up.
func childhoods(random *rand.Rand) consent.Childhood {
	return []consent.Childhood{nil, grewUp(-1), grewUp(random.IntN(7)), grewUp(random.IntN(7)), grewUp(2000)}[random.IntN(5)]
}

func TestFoldHoldsForEveryHistory(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		records := history(random)
		channel := privacy.Channel([]string{"email", "sms"}[random.IntN(2)])
		moment := at(random.IntN(10))
		childhood := childhoods(random)
		fold := func(records []consent.Record, channel privacy.Channel, at time.Time) consent.Current {
			return consent.FoldFor(records, channel, at, childhood)
		}
		got := fold(records, channel, moment)

		shuffled := append([]consent.Record(nil), records...)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(got, fold(shuffled, channel, moment)); diff != "" {
			t.Fatalf("order changes the answer: %s\n%+v", diff, records)
		}
		var known []consent.Record
		for _, r := range records {
			if !r.EffectiveAt.After(moment) {
				known = append(known, r)
			}
		}
		past := fold(known, channel, moment)
		if past.State != got.State || past.Record != got.Record {
			t.Fatalf("the future changes the answer: %+v\n%+v", got, records)
		}
		for _, no := range []consent.Action{consent.Withdrawn, consent.GuardianWithdrawn, consent.Refused, consent.Expired, consent.Objected} {
			for _, where := range []privacy.Channel{channel, privacy.AnyChannel} {
				last := grant(0, where, says(no))
				last.ID, last.EffectiveAt = [16]byte{0xff}, moment
				if c := fold(append(records, last), channel, moment); c.State.IsYes() {
					t.Fatalf("%s for %q leaves the grant\n%+v", no, where, records)
				}
			}
		}
		if !got.Until.IsZero() {
			before := got.Until.Add(-time.Nanosecond)
			if c := fold(records, channel, before); c.State != got.State || c.Record != got.Record {
				t.Fatalf("changes before Until: %+v, then %+v\n%+v", got, c, records)
			}
		} else if c := fold(records, channel, at(1000)); c.State != got.State {
			t.Fatalf("changes although Until is never: %+v, then %+v\n%+v", got, c, records)
		}
		if got.State.IsYes() && !got.Until.IsZero() && !got.Until.After(moment) {
			t.Fatalf("a grant that ends in the past: %+v", got)
		}
	}
}
