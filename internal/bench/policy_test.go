package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/policies"
)

// TestPolicy measures everything in short. The figures are not judged, as the machine
// may be busy; what was measured is.
func TestPolicy(t *testing.T) {
	if testing.Short() {
		t.Skip("changes the policies over and over")
	}
	h := newHouse(t, pgtest.New(t).URL())
	access := &AccessConfig{
		Fixture: h.fixture, People: h.handler, Token: h.token, Loader: h.loader, Number: 100, Clients: [2]int{2, 4}, LogSize: h.log.Size,
	}
	report, err := Policy(t.Context(), PolicyConfig{Access: access, Time: 50 * time.Millisecond, Requests: 4000, EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", report.Markdown())
	var seen []string
	for _, row := range report.Rows {
		if !slices.Contains(seen, row.Measurement) {
			seen = append(seen, row.Measurement)
		}
		switch {
		case strings.Contains(row.What, "failed"):
			if row.Figure != 0 {
				t.Errorf("%+v", row)
			}
		case row.What == "plan, remembered" && row.Unit == "allocations": // the race detector allocates
		case row.Figure <= 0:
			t.Errorf("%+v", row)
		}
	}
	if !slices.Equal(seen, PolicyMeasurements()) {
		t.Errorf("measured %v, want %v", seen, PolicyMeasurements())
	}
	one, err := Policy(t.Context(), PolicyConfig{Only: []string{"memo"}, Time: 10 * time.Millisecond})
	if err != nil || len(one.Rows) != 2 || one.Rows[0].Measurement != "memo" {
		t.Errorf("memo alone: %+v, %v", one.Rows, err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	report := Report{Rows: []Row{
		Row{What: "slow", Figure: 0.13, Unit: "ms"}.atMost(0.12), Row{What: "fast", Figure: 20000, Unit: "/s"}.atLeast(15000),
	}}
	if report.Rows[0].Met || !report.Rows[1].Met {
		t.Errorf("%+v", report.Rows)
	}
	for _, want := range []string{"| slow | 0.130 ms | <= 0.12 | NOT MET |", "| fast | 20000 /s | >= 15000 |  |"} {
		if !strings.Contains(report.Markdown(), want) {
			t.Errorf("%s\nlacks %s", report.Markdown(), want)
		}
	}
}

// TestTrafficIsAMixture: a hit ratio over questions that are all denied would say little.
func TestTrafficIsAMixture(t *testing.T) {
	t.Parallel()
	engine, err := policies.Open(t.Context(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	traffic, allowed := newTraffic(engine.Revision().Catalogue()), 0
	states := map[policies.ConsentState]int{}
	for range 2000 {
		facts := traffic.next()
		plan, err := engine.Revision().Decide(t.Context(), facts)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Allow {
			allowed++
		}
		states[facts.Consent.State]++
	}
	if allowed < 600 || allowed > 1700 || len(states) != 6 {
		t.Errorf("%d of 2000 are allowed, states %v", allowed, states)
	}
}
