package gate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// bundled activates the bundle. On a machine with other things to do an evaluation may take
// long, which says nothing about the rules.
var bundled = sync.OnceValues(func() (*policies.Engine, error) {
	return policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
})

func mustRevision(t testing.TB) *policies.Revision {
	t.Helper()
	engine, err := bundled()
	if err != nil {
		t.Fatal(err)
	}
	return engine.Revision()
}

// TestCases plays the scenarios of the bundled policies.
func TestCases(t *testing.T) {
	t.Parallel()
	results, err := RunCases(t.Context(), policies.Bundle(), mustRevision(t))
	if err != nil {
		t.Fatal(err)
	}
	type tally struct{ allowed, denied, nearMisses int }
	tallies := map[string]tally{}
	for _, r := range results {
		n := tallies[r.Scenario]
		if r.Decision == Allow {
			n.allowed++
		} else {
			n.denied++
		}
		if r.NearMiss() {
			n.nearMisses++
		}
		tallies[r.Scenario] = n
		if !r.Passed() {
			t.Errorf("%s: %s:\n\t%s", r.File, r.Name, strings.Join(r.Failures, "\n\t"))
		}
	}
	for i := range 21 {
		scenario := fmt.Sprintf("S%d", i+1)
		if n := tallies[scenario]; n.allowed == 0 || n.denied == 0 || n.nearMisses == 0 {
			t.Errorf("%s has %+v, want something of each", scenario, n)
		}
	}
}

// TestCasesFail shows that a case can fail, and that a malformed file is refused.
func TestCasesFail(t *testing.T) {
	t.Parallel()
	play := func(text string) ([]CaseResult, error) {
		return RunCases(t.Context(), fstest.MapFS{"a.yaml": {Data: []byte(text)}}, mustRevision(t))
	}
	const head = "scenario: S17\nsituation: x\npeople: {p: {jurisdiction: TR, attributes: {first_name: Ece}}}\n"
	const ask = "ask: {recipient: web_shop, purpose: greeting, channel: web, attributes: [first_name]}"
	for expect, want := range map[string]int{
		"{decision: allow, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract]}":                    0,
		"{decision: deny, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract]}":                     1,
		"{decision: allow, reasons: [basis.contract]}":                                                                          1,
		"{decision: allow, attributes: {first_name: {level: exact, value: Ada}}, reasons: [basis.contract]}":                    1,
		"{decision: allow, attributes: {first_name: {level: generalized, value: Ece}}, reasons: [basis.contract]}":              1,
		"{decision: deny, obligations: [x], attributes: {last_name: {level: exact, value: Ece}}, checks: [a]}":                  6,
		"{decision: allow, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract, other.x]}":           1,
		"{decision: allow, attributes: {first_name: {level: exact, value: Ece, quality: disputed}}, reasons: [basis.contract]}": 1,
		"{decision: allow, attributes: {first_name: {level: exact, value: Ece, quality: verified}}, reasons: [basis.contract]}": 0,
		"{decision: allow, attributes: {first_name: {level: exact, value: Ece}}, reasons: [basis.contract], use_before: 1m}":    1,
	} {
		results, err := play(head + "cases: [{name: n, person: p, " + ask + ", expect: " + expect + "}]")
		if err != nil {
			t.Fatal(err)
		}
		if len(results[0].Failures) != want {
			t.Errorf("%s: %d failures, want %d: %v", expect, len(results[0].Failures), want, results[0].Failures)
		}
	}
	for name, text := range map[string]string{
		"unknown key":       head + "cases: [{name: n, person: p, surprise: 1, " + ask + ", expect: {decision: allow}}]",
		"unknown person":    head + "cases: [{name: n, person: q, " + ask + ", expect: {decision: allow}}]",
		"unknown purpose":   head + "cases: [{name: n, person: p, ask: {purpose: x, channel: web, attributes: [first_name]}, expect: {decision: allow}}]",
		"no situation":      "scenario: S1\ncases: [{name: n}]",
		"later same_as":     head + "cases: [{name: n, person: p, " + ask + ", expect: {decision: allow, same_as: m}}]",
		"unknown action":    head + "cases: [{name: n, person: p, ask: {action: x, recipient: web_shop, purpose: greeting, channel: web, attributes: [first_name]}, expect: {decision: allow}}]",
		"odd use_before":    head + "cases: [{name: n, person: p, " + ask + ", expect: {decision: allow, use_before: soon}}]",
		"unknown attribute": "scenario: S1\nsituation: x\npeople: {p: {attributes: {shoe_size: 38}}}\ncases: [{name: n, person: p, " + ask + ", expect: {}}]",
	} {
		if _, err := play(text); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}
