package cleanroom_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
)

// shuffledQuery says the same as reachQuery, in one of the ways in which it can be said.
func shuffledQuery(r *rand.Rand) string {
	one, two := fmt.Sprintf("a%d", r.IntN(9)), fmt.Sprintf("b%d", r.IntN(9))
	shuffle := func(parts ...string) string {
		r.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		return strings.Join(parts, ",")
	}
	metrics := []string{`{"fn":"sum","col":"` + one + `.spend_minor","as":"s"}`, `{"fn":"avg","col":"` + one + `.spend_minor","as":"t"}`}
	if r.IntN(2) == 0 {
		metrics = append(metrics, `{"as":"u","fn":"people"}`)
	}
	return `{` + shuffle(
		`"room":"r1"`, `"join":"match"`, `"purpose":"campaign_measurement"`,
		`"from":[`+shuffle(`{"dataset":"retailer.purchases","as":"`+one+`"}`, `{"as":"`+two+`","dataset":"brand.segments"}`)+`]`,
		`"where":[`+shuffle(
			`{"col":"`+one+`.product_group","op":"in","val":[`+shuffle(`"snacks"`, `"drinks"`)+`]}`,
			`{"val":["2026-01-01","2026-03-31"],"op":"between","col":"`+one+`.day"}`)+`]`,
		`"group_by":["`+two+`.segment"]`, `"metrics":[`+shuffle(metrics...)+`]`,
		`"privacy":{"noise_people":20,"max_groups_per_person":1}`) + `}`
}

// Queries that say the same have the same digest, the same plan and the same cost.
func TestEqualQuestionsAreEqual(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	want := mustQuestion(t, h, reachQuery)
	for seed := range uint64(500) {
		document := shuffledQuery(rand.New(rand.NewPCG(seed, 0)))
		got := mustQuestion(t, h, document)
		if got.Digest() != want.Digest() || !bytes.Equal(got.Canonical(), want.Canonical()) || got.Cost() != want.Cost() {
			t.Fatalf("seed %d: %s is another question", seed, document)
		}
		if diff := cmp.Diff(want.Plan(1), got.Plan(1)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// What limits nothing makes no other question: a predicate that all passes which people can have
// been matched with. The policies see it all the same.
func TestWhatLimitsNothingIsNotAsked(t *testing.T) {
	t.Parallel()
	const (
		words, all = `{"col": "p.product_group", "op": "in", "val": ["drinks", "snacks"]}`, `{"col": "p.product_group", "op": "in", "val": ["other", "drinks", "snacks"]}`
		days, year = `{"col": "p.day", "op": "between", "val": ["2026-01-01", "2026-03-31"]}`, `{"col": "p.day", "op": "between", "val": ["2026-01-01", "2026-12-31"]}`
	)
	h := newHouse(t)
	for name, c := range map[string]struct{ document, same string }{
		"all words": {change(t, reachQuery, words, all), change(t, reachQuery, words+", ", "")},
		"all days":  {change(t, reachQuery, days, year), change(t, reachQuery, ", "+days, "")},
		"both":      {change(t, reachQuery, words+", "+days, all+", "+year), change(t, reachQuery, words+", "+days, "")},
	} {
		got, want := mustQuestion(t, h, c.document), mustQuestion(t, h, c.same)
		if got.Digest() != want.Digest() {
			t.Errorf("%s: this is another question: %s", name, got.Canonical())
		}
		if diff := cmp.Diff(want.Plan(1), got.Plan(1)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		one := func(cleanroom.DatasetRef, cleanroom.Source) int { return 1 }
		for drawn := range uint64(400) {
			same := func(cleanroom.DatasetRef, int, string) uint64 { return drawn }
			if got.Passes(one, same) != want.Passes(one, same) {
				t.Errorf("%s: %d passes one and not the other", name, drawn)
			}
		}
		h.mustAsk(t, c.document)
		if !slices.ContainsFunc(h.policy.facts.Columns, func(c policies.RoomColumn) bool { return slices.Contains(c.Values, "snacks") }) && name != "all days" {
			t.Errorf("%s: the policies saw %+v", name, h.policy.facts.Columns)
		}
		if again := h.mustAsk(t, c.same); !again.Repeated {
			t.Errorf("%s: it is answered and charged twice", name)
		}
	}
	// The same twice in a query stays a fault, and so does a column that nobody may limit.
	for document, pointer := range map[string]string{
		change(t, reachQuery, words, all+", "+all):                                                "/where/1/col",
		change(t, reachQuery, words, `{"col": "p.store", "op": "in", "val": ["north", "south"]}`): "/where/0/col",
	} {
		if _, err := h.ask(t, document); pointerOf(t, err) != pointer {
			t.Errorf("%s: %v", document, err)
		}
	}
	// People who came in when more days were asked for are limited by those of today.
	h.replace(t, purchases, func(c *cleanroom.Contract) { c.Columns[1].First = "2026-02-01" })
	shorter := mustQuestion(t, h, change(t, reachQuery, days, `{"col": "p.day", "op": "between", "val": ["2026-02-01", "2026-12-31"]}`))
	if len(shorter.Plan(1).Sources[1].Filters) != 2 {
		t.Errorf("days that nobody may be asked about count: %s", shorter.Canonical())
	}
}

// Questions that differ in anything have different digests.
func TestDifferentQuestionsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[audit.Digest]string{}
	note := func(name string, h *house, document string) {
		t.Helper()
		digest := mustQuestion(t, h, document).Digest()
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s are the same question", name, other)
		}
		seen[digest] = name
	}
	note("the question", newHouse(t), reachQuery)
	for _, c := range []struct{ old, now string }{
		{`["drinks", "snacks"]`, `["drinks"]`},
		{`"2026-03-31"`, `"2026-04-30"`},
		{`"group_by": ["s.segment"]`, `"group_by": ["p.product_group"]`},
		{`"group_by": ["s.segment"],`, ``},
		{`, {"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, ``},
		{`"noise_people": 20`, `"noise_people": 21`},
		{`"max_groups_per_person": 1`, `"max_groups_per_person": 2`},
		{`{"col": "p.day", "op": "between", "val": ["2026-01-01", "2026-03-31"]}`, `{"col": "s.segment", "op": "=", "val": "gold"}`},
	} {
		h := newHouse(t)
		note(c.now, h, change(t, reachQuery, c.old, c.now))
	}
	h := newHouse(t)
	h.rooms.Snapshots[0].ID++
	note("another snapshot", h, reachQuery)
	h = newHouse(t)
	h.rooms.Room.Mode = cleanroom.ThresholdOnly
	note("without noise", h, reachQuery)
	h = newHouse(t)
	h.replace(t, segments, func(*cleanroom.Contract) {})
	note("a newer contract", h, reachQuery)
}
