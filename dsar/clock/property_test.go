package clock_test

import (
	"testing"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
)

// lastReceipt is the last day from which even an extended period ends within the calendar.
func lastReceipt(regime clock.Regime) string {
	switch regime {
	case clock.KVKK, clock.UKEngland, clock.UKScotland, clock.UKNorthernIreland:
		return "2030-09-15"
	}
	return "2035-09-15"
}

func firstReceipt(regime clock.Regime) string {
	switch regime {
	case clock.CCPA:
		return "2020-01-01"
	case clock.LGPD:
		return "2020-09-18"
	case clock.KVKK:
		return "2018-01-01"
	}
	return "2018-05-25"
}

// TestEveryDay goes through every day on which a request may come, under every law and for
// every right, and asks what must hold of every deadline.
func TestEveryDay(t *testing.T) {
	t.Parallel()
	for _, regime := range clock.Regimes() {
		for _, right := range clock.Rights() {
			t.Run(string(regime)+"/"+string(right), func(t *testing.T) {
				t.Parallel()
				var before clock.Deadline
				stride := 1
				if testing.Short() {
					stride = 11 // every day of the week and of the month comes by
				}
				last := day(t, lastReceipt(regime))
				for d := day(t, firstReceipt(regime)); !d.After(last); d = d.AddDays(stride) {
					in := clock.Input{Regime: regime, Right: right, Received: at(t, regime, d.String())}
					got, err := clock.Compute(in)
					if err != nil {
						t.Fatalf("received %s: %v", d, err)
					}
					law, err := clock.LawOf(regime, right, in.Received)
					if err != nil {
						t.Fatal(err)
					}
					holds(t, d, got, before, law)
					extended(t, in, got, law)
					before = got
				}
			})
		}
	}
}

// holds is what must hold of every deadline without pauses and extension.
func holds(t *testing.T, received clock.Date, d, before clock.Deadline, law *clock.Law) {
	t.Helper()
	if d.Due.Before(before.Due) || d.DueAt.Before(before.DueAt) || d.AcknowledgeBy.Before(before.AcknowledgeBy) {
		t.Errorf("received %s: due %s, but a day earlier %s", received, d.Due, before.Due)
	}
	if d.Started != received || d.Received != received || d.Extended || d.Waiting != "" {
		t.Errorf("received %s: started %s, extended %t, waiting %q", received, d.Started, d.Extended, d.Waiting)
	}
	for _, end := range []clock.Date{d.Due, d.AcknowledgeBy, d.ExtendBy} {
		if end.IsZero() {
			continue
		}
		if !end.After(received) {
			t.Errorf("received %s: a period ends on %s", received, end)
		}
		if working, err := law.Working(end); err != nil || !working {
			t.Errorf("received %s: a period ends on %s, when nobody works (%v)", received, end, err)
		}
	}
	if days := received.DaysUntil(d.Due); days < 15 || days > 60 {
		t.Errorf("received %s: %d days", received, days)
	}
	if clock.DateIn(d.DueAt, law.Place()) != d.Due || d.DueAt.Before(d.Due.In(law.Place(), 13, 0, 0)) {
		t.Errorf("received %s: due on %s at %s", received, d.Due, d.DueAt)
	}
	if exists, _ := law.Extends(); exists == d.ExtendBy.IsZero() || exists && d.ExtendBy != d.Due {
		t.Errorf("received %s: due %s, notice of an extension by %q", received, d.Due, d.ExtendBy)
	}
	if law.Acknowledges() == d.AcknowledgeBy.IsZero() || d.AcknowledgeBy.After(d.Due) {
		t.Errorf("received %s: acknowledge by %q", received, d.AcknowledgeBy)
	}
	for _, step := range d.Steps {
		if step.Name == "" || step.Text == "" || step.Source == "" {
			t.Errorf("received %s: step %+v has no text or no source", received, step)
		}
	}
	if last := d.Steps[len(d.Steps)-1]; last.Name != "due" && last.Name != "extension" {
		t.Errorf("received %s: the last step is %s", received, last.Name)
	}
}

// extended: told on the last day it is longer, a day later it is refused, and where there
// is no extension it always is.
func extended(t *testing.T, in clock.Input, d clock.Deadline, law *clock.Law) {
	t.Helper()
	exists, _ := law.Extends()
	told := d.Due
	in.Extension = &clock.Extension{Notified: told.In(law.Place(), 23, 59, 59), Reason: clock.Complexity}
	longer, err := clock.Compute(in)
	if !exists {
		if got := outcome(longer, err); got != "refused extension.exists" {
			t.Errorf("received %s: an extension gives %s", d.Received, got)
		}
		return
	}
	if err != nil || !longer.Extended || !longer.Due.After(d.Due) || longer.Received.DaysUntil(longer.Due) > 102 || !longer.ExtendBy.IsZero() {
		t.Errorf("received %s: extended to %s, %v", d.Received, longer.Due, err)
	}
	if working, err := law.Working(longer.Due); err != nil || !working {
		t.Errorf("received %s: extended to %s, when nobody works (%v)", d.Received, longer.Due, err)
	}
	in.Extension.Notified = told.AddDays(1).In(law.Place(), 0, 0, 0)
	if got := outcome(clock.Compute(in)); got != "refused extension.in_time" {
		t.Errorf("received %s: told on the day after %s gives %s", d.Received, told, got)
	}
}

// TestPausesOnlyDelay: a pause that the law allows never makes a deadline earlier, by more
// days never less late; one that it does not allow changes nothing but is refused.
func TestPausesOnlyDelay(t *testing.T) {
	t.Parallel()
	stride := 3
	if testing.Short() {
		stride = 23
	}
	for _, regime := range clock.Regimes() {
		for _, right := range []clock.Right{clock.Access, clock.Erasure} {
			for _, ground := range clock.Grounds() {
				for d := day(t, "2025-10-01"); d.Before(day(t, "2026-10-01")); d = d.AddDays(stride) {
					in := clock.Input{Regime: regime, Right: right, Received: at(t, regime, d.String())}
					law, err := clock.LawOf(regime, right, in.Received)
					if err != nil {
						t.Fatal(err)
					}
					plain, err := clock.Compute(in)
					if err != nil {
						t.Fatal(err)
					}
					effect, article := law.Pause(ground)
					due := plain.Due
					for days := range 20 {
						asked := at(t, regime, d.AddDays(2).String())
						in.Pauses = []clock.Pause{{Ground: ground, From: asked, Until: asked.Add(time.Duration(days) * 24 * time.Hour)}}
						got, err := clock.Compute(in)
						switch {
						case effect == clock.Forbidden && outcome(got, err) != "refused pause.allowed":
							t.Fatalf("%s %s: %s gives %s", regime, right, ground, outcome(got, err))
						case effect == clock.Forbidden:
							continue
						case err != nil || article == "":
							t.Fatalf("%s %s received %s, %s for %d days: %v", regime, right, d, ground, days, err)
						}
						if got.Due.Before(due) || plain.Due.DaysUntil(got.Due) > days+3+12 {
							t.Errorf("%s %s received %s, %s for %d days: due %s after %s", regime, right, d, ground, days, got.Due, due)
						}
						due = got.Due
					}
				}
			}
		}
	}
}

// TestPlace: a request of the evening belongs to the day that it was where the law is.
func TestPlace(t *testing.T) {
	t.Parallel()
	late := time.Date(2026, time.March, 4, 21, 30, 0, 0, time.UTC) // 00:30 of the 5th in Istanbul, 13:30 of the 4th in Los Angeles
	for regime, want := range map[clock.Regime]string{clock.KVKK: "2026-03-05", clock.CCPA: "2026-03-04", clock.GDPRCZ: "2026-03-04"} {
		d, err := clock.Compute(clock.Input{Regime: regime, Received: late})
		if err != nil || d.Received.String() != want {
			t.Errorf("%s: received %s, %v", regime, d.Received, err)
		}
	}
	d, err := clock.Compute(clock.Input{Regime: clock.GDPREU, Received: late, Place: time.FixedZone("here", 4*60*60)})
	if err != nil || d.Received.String() != "2026-03-05" || d.DueAt.Location().String() != "here" {
		t.Errorf("in a place of one's own: received %s, due at %s, %v", d.Received, d.DueAt, err)
	}
}
