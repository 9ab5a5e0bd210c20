package clock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// TestComputeRefuses: what makes no sense is an error, and what the law does not allow
// names the article.
func TestComputeRefuses(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	later := func(days int) time.Time { return received.AddDate(0, 0, days) }
	for name, test := range map[string]struct {
		in      clock.Input
		check   clock.Check // empty: malformed
		article string
	}{
		"no regime":               {clock.Input{Received: received}, "", ""},
		"unknown regime":          {clock.Input{Regime: "gdpr", Received: received}, "", ""},
		"unknown right":           {clock.Input{Regime: clock.KVKK, Right: "silence", Received: received}, "", ""},
		"not received":            {clock.Input{Regime: clock.KVKK}, "", ""},
		"unknown ground":          {clock.Input{Regime: clock.GDPREU, Received: received, Pauses: []clock.Pause{{Ground: "weather", From: later(1)}}}, "", ""},
		"never asked":             {clock.Input{Regime: clock.GDPREU, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity}}}, "", ""},
		"asked before receipt":    {clock.Input{Regime: clock.GDPREU, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity, From: later(-1)}}}, clock.CheckOrder, "EDPB Guidelines 01/2022 section 5.3"},
		"answered before asking":  {clock.Input{Regime: clock.GDPREU, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity, From: later(2), Until: later(1)}}}, clock.CheckOrder, "EDPB Guidelines 01/2022 section 5.3"},
		"asked twice":             {clock.Input{Regime: clock.GDPREU, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity, From: later(1), Until: later(2)}, {Ground: clock.Identity, From: later(3)}}}, clock.CheckPauseOnce, "GDPR Art. 12(6); EDPB Guidelines 01/2022 para. 159"},
		"extended before receipt": {clock.Input{Regime: clock.GDPREU, Received: received, Extension: &clock.Extension{Notified: later(-1), Reason: clock.Complexity}}, clock.CheckOrder, "GDPR Art. 12(3)"},
		"pause in California":     {clock.Input{Regime: clock.CCPA, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity, From: later(1)}}}, clock.CheckPauseAllowed, "11 CCR s. 7021(b)"},
		"extension in Türkiye":    {clock.Input{Regime: clock.KVKK, Received: received, Extension: &clock.Extension{Notified: later(1), Reason: clock.Complexity}}, clock.CheckExtensionExists, "KVKK Art. 13(2)"},
		"late extension":          {clock.Input{Regime: clock.GDPRCZ, Received: received, Extension: &clock.Extension{Notified: later(32), Reason: clock.Complexity}}, clock.CheckExtensionInTime, "GDPR Art. 12(3)"},
		"before the law":          {clock.Input{Regime: clock.LGPD, Received: received.AddDate(-10, 0, 0)}, clock.CheckRuleInForce, "LGPD Art. 19(II)"},
		"after the calendar":      {clock.Input{Regime: clock.KVKK, Received: received.AddDate(20, 0, 0)}, clock.CheckCalendarYears, "Law No. 2429 Arts. 1-3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := clock.Compute(test.in)
			if !errors.Is(err, privacy.ErrInvalid) || len(d.Steps) != 0 {
				t.Fatalf("got %v, %v", d, err)
			}
			refusal, refused := errors.AsType[*clock.Refusal](err)
			if refused != (test.check != "") {
				t.Fatalf("got %v", err)
			}
			if refused && (refusal.Check != test.check || refusal.Article != test.article || refusal.Reason == "") {
				t.Errorf("refused with %s", refusal)
			}
		})
	}
}

// TestSameDay: what is asked on the day of receipt is not before it, whatever the hour.
func TestSameDay(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, time.March, 2, 15, 0, 0, 0, time.UTC)
	morning := received.Add(-3 * time.Hour)
	if _, err := clock.Compute(clock.Input{
		Regime: clock.UKEngland, Received: received, Pauses: []clock.Pause{{Ground: clock.Identity, From: morning, Until: received}},
		Extension: &clock.Extension{Notified: morning, Reason: clock.NumberOfRequests},
	}); err != nil {
		t.Error(err)
	}
}

// TestRight: a request that does not say what it asks for asks for access.
func TestRight(t *testing.T) {
	t.Parallel()
	for right, want := range map[clock.Right]clock.Right{"": clock.Access, clock.Erasure: clock.Erasure} {
		d, err := clock.Compute(clock.Input{Regime: clock.LGPD, Right: right, Received: at(t, clock.LGPD, "2026-03-02")})
		if err != nil || d.Right != want || d.Regime != clock.LGPD {
			t.Errorf("%q: %s under %s, %v", right, d.Right, d.Regime, err)
		}
	}
}

// TestAnnounced: beyond what has been proclaimed the last step says so.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		received string
		want     bool
	}{{"2026-03-02", false}, {"2029-03-02", true}} {
		d, err := clock.Compute(clock.Input{Regime: clock.UKScotland, Received: at(t, clock.UKScotland, test.received)})
		if err != nil {
			t.Fatal(err)
		}
		var note string
		for _, step := range d.Steps {
			if step.Name == "due" {
				note = step.Note
			}
		}
		if (note == "the holidays of 2029 are those of the statute; more may be proclaimed") != test.want {
			t.Errorf("received %s: the note is %q", test.received, note)
		}
	}
}

func TestLaw(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	law, err := clock.LawOf(clock.GDPRCZ, clock.Erasure, now)
	if err != nil {
		t.Fatal(err)
	}
	if law.Title("cs") != "GDPR v Česku" || law.Title("xx") != "GDPR in Czechia" || law.Article() == "" || law.Place().String() != "Europe/Prague" {
		t.Errorf("title %q, %q, article %q, place %s", law.Title("cs"), law.Title("xx"), law.Article(), law.Place())
	}
	if effect, article := law.Pause("weather"); effect != clock.Forbidden || article == "" {
		t.Errorf("the weather %s (%s)", effect, article)
	}
	for text, want := range map[string]bool{"2026-12-23": true, "2026-12-24": false, "2026-12-19": false, "2026-12-20": false} {
		if working, err := law.Working(day(t, text)); err != nil || working != want {
			t.Errorf("%s works: %t, %v", text, working, err)
		}
	}
	if working, err := law.Working(day(t, "2040-01-03")); err == nil || working {
		t.Errorf("3 January 2040 works: %t, %v", working, err)
	}
	if name, err := law.Holiday(day(t, "2026-12-24")); err != nil || name != "Štědrý den" {
		t.Errorf("24 December is %q, %v", name, err)
	}
	if _, err := law.Holiday(day(t, "2040-12-24")); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("24 December 2040: %v", err)
	}
	// The law of the day of receipt, not of today.
	for received, want := range map[string]string{"2026-02-04": "UK GDPR Art. 12(3)", "2026-02-05": "UK GDPR Art. 12A"} {
		law, err := clock.LawOf(clock.UKEngland, "", at(t, clock.UKEngland, received))
		if err != nil || law.Article() != want {
			t.Errorf("on %s: %v, %v", received, law, err)
		}
	}
}
