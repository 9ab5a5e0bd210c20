package cleanroom_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const (
	reachCanonical = `{"datasets":["brand.segments","retailer.purchases"],"group_by":["brand.segments.segment"],` +
		`"metrics":["people","avg(retailer.purchases.spend_minor)","sum(retailer.purchases.spend_minor)"],"mode":"dp",` +
		`"privacy":{"max_groups_per_person":1,"noise_people":20},"purpose":"campaign_measurement","room":"r1",` +
		`"where":[{"col":"retailer.purchases.day","from":"2026-01-01","to":"2026-03-31"},{"col":"retailer.purchases.product_group","in":["snacks","drinks"]}]}`
	reachDigest = "5a7751fee46273c497461f3c68370f4d59c924f5c52b18fedc823fc02b320d0d"
)

// scopeOf is what the questions of a house are looked up in.
func scopeOf(h *house) *cleanroom.Scope {
	return &cleanroom.Scope{Room: h.rooms.Room, Contracts: h.rooms.Contracts, Snapshots: h.rooms.Snapshots}
}

func mustQuestion(t testing.TB, h *house, document string) *cleanroom.Question {
	t.Helper()
	query, err := cleanroom.ParseQuery([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	question, err := cleanroom.NewQuestion(query, scopeOf(h), false)
	if err != nil {
		t.Fatal(err)
	}
	return question
}

func TestQuestionVector(t *testing.T) {
	t.Parallel()
	question := mustQuestion(t, newHouse(t), reachQuery)
	if got := string(question.Canonical()); got != reachCanonical {
		t.Errorf("canonical:\n%s\nwant:\n%s", got, reachCanonical)
	}
	digest := question.Digest()
	if got := hex.EncodeToString(digest[:]); got != reachDigest {
		t.Errorf("digest %s", got)
	}
	want := &cleanroom.Plan{
		Sources: []cleanroom.PlanSource{
			{Snapshot: 11},
			{Snapshot: 10, Filters: []cleanroom.PlanFilter{{Slot: "d2", Lo: 20454, Hi: 20543}, {Slot: "d1", Values: []int64{0, 1}}}},
		},
		Keys:      []cleanroom.PlanKey{{Source: 0, Slot: "d1", Size: 2}},
		Measures:  []cleanroom.PlanMeasure{{Source: 1, Slot: "m1", Lo: 0, Hi: 50000}},
		MaxGroups: 1, Seed: 7,
	}
	if diff := cmp.Diff(want, question.Plan(7)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]cleanroom.SnapshotID{11, 10}, question.Snapshots()); diff != "" {
		t.Error(diff)
	}
}

// An answer has a size that can be kept and sent, or the question is refused before it is
// charged: how much of it is told would depend on the data.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	document := change(t, reachQuery, `{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "histogram", "col": "p.spend_minor", "as": "bins"}`)
	document = change(t, document, `"group_by": ["s.segment"]`, `"group_by": ["p.product_group"]`)
	for _, test := range []struct {
		groups int
		want   string
	}{{943, ""}, {944, "/metrics"}} { // people, a sum and 51 bins of each
		h := newHouse(t)
		contract := mustContract(t, purchasesContract)
		contract.Columns[0].Domain = []string{"snacks", "drinks", "other"}
		for i := 3; i < test.groups; i++ {
			contract.Columns[0].Domain = append(contract.Columns[0].Domain, fmt.Sprintf("group %d", i))
		}
		contract.Columns[3].Bins = nil
		for i := range int64(50) {
			contract.Columns[3].Bins = append(contract.Columns[3].Bins, 1000*(i+1))
		}
		signed := mustSign(t, contract)
		h.rooms.Contracts[1], h.rooms.Snapshots[1].Prepared = signed, signed
		query, err := cleanroom.ParseQuery([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		_, err = cleanroom.NewQuestion(query, scopeOf(h), false)
		if test.want == "" && err != nil || test.want != "" && pointerOf(t, err) != test.want {
			t.Errorf("%d groups: %v", test.groups, err)
		}
	}
}

// Everything that is wrong with a question is told with its place, costs nothing, and no data
// is read for it.
func TestQuestionIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ old, now, pointer string }{
		// Unknown columns, datasets, names.
		{`"col": "p.day"`, `"col": "p.weather"`, "/where/1/col"},
		{`"col": "p.day"`, `"col": "x.day"`, "/where/1/col"},
		{`"col": "p.day"`, `"col": "day"`, "/where/1/col"},
		{`"group_by": ["s.segment"]`, `"group_by": ["s.postcode"]`, "/group_by/0"},
		{`{"fn": "sum", "col": "p.spend_minor", "as": "spend"}`, `{"fn": "sum", "col": "p.salary", "as": "spend"}`, "/metrics/1/col"},
		{`"dataset": "brand.segments"`, `"dataset": "brand.people"`, "/from/1/dataset"},
		{`"dataset": "brand.segments"`, `"dataset": "segments"`, "/from/1/dataset"},
		{`"dataset": "brand.segments"`, `"dataset": "retailer.purchases"`, "/from/1/dataset"},
		{`"as": "s"`, `"as": "p"`, "/from/1/as"},
		{`"as": "s"`, `"as": "s s"`, "/from/1/as"},
		// Operators and literals.
		{`"op": "between"`, `"op": "like"`, "/where/1/op"},
		{`"op": "between"`, `"op": "in"`, "/where/1/op"},
		{`"op": "in"`, `"op": "between"`, "/where/0/op"},
		{`"op": "in"`, `"op": "!="`, "/where/0/op"},
		{`["drinks", "snacks"]`, `["drinks", "pregnancy tests"]`, "/where/0/val/1"},
		{`["drinks", "snacks"]`, `["drinks", "drinks"]`, "/where/0/val/1"},
		{`["drinks", "snacks"]`, `[]`, "/where/0/val"},
		{`["drinks", "snacks"]`, `"drinks"`, "/where/0/val"},
		{`["drinks", "snacks"]`, `[1]`, "/where/0/val"},
		{`["drinks", "snacks"]`, `{"hole": "groups"}`, "/where/0/val"},
		{`"op": "in", "val": ["drinks", "snacks"]`, `"op": "=", "val": "wine"`, "/where/0/val"},
		{`"op": "in", "val": ["drinks", "snacks"]`, `"op": "in"`, "/where/0/val"},
		{`"op": "in", "val": ["drinks", "snacks"]`, `"op": "=", "val": null`, ""},
		// Ranges.
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-02", "2026-03-31"]`, "/where/1/val/0"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-01", "2026-03-30"]`, "/where/1/val/1"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-03-01", "2026-01-31"]`, "/where/1/val/1"},
		{`["2026-01-01", "2026-03-31"]`, `["2025-12-01", "2026-03-31"]`, "/where/1/val/0"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-01", "2027-01-31"]`, "/where/1/val/1"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-01"]`, "/where/1/val"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-01T00:00:00Z", "2026-03-31"]`, "/where/1/val/0"},
		{`["2026-01-01", "2026-03-31"]`, `["2026-01-01", "2026-02-30"]`, "/where/1/val/1"},
		// Joins.
		{`"join": "match"`, `"join": "left"`, "/join"},
		{`"join": "match"`, `"join": "p.day"`, "/join"},
		{`"join": "match",`, ``, "/join"},
		{`, {"dataset": "brand.segments", "as": "s"}`, ``, "/join"},
		// Too much.
		{`"group_by": ["s.segment"]`, `"group_by": ["s.segment", "s.segment"]`, "/group_by/1"},
		{`"group_by": ["s.segment"]`, `"group_by": ["s.segment", "p.product_group", "p.day", "s.segment"]`, "/group_by"},
		{`"where": [`, `"where": [{"col":"p.a","op":"=","val":"x"},{"col":"p.b","op":"=","val":"x"},{"col":"p.c","op":"=","val":"x"},`, "/where"},
		{`"where": [`, `"where": [{"col":"p.product_group","op":"=","val":"snacks"},`, "/where/1/col"},
		// Roles and functions of columns.
		{`"group_by": ["s.segment"]`, `"group_by": ["p.day"]`, "/group_by/0"},
		{`"group_by": ["s.segment"]`, `"group_by": ["p.store"]`, "/group_by/0"},
		{`"group_by": ["s.segment"]`, `"group_by": ["p.spend_minor"]`, "/group_by/0"},
		{`"col": "p.day"`, `"col": "p.store"`, "/where/1/col"},
		{`"col": "p.day"`, `"col": "p.spend_minor"`, "/where/1/col"},
		{`{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "avg", "col": "p.visits", "as": "aov"}`, "/metrics/2/fn"},
		{`{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "avg", "col": "p.day", "as": "aov"}`, "/metrics/2/col"},
		{`{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "max", "col": "p.spend_minor", "as": "aov"}`, "/metrics/2/fn"},
		{`{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "sum", "col": "p.spend_minor", "as": "aov"}`, "/metrics/2"},
		{`{"fn": "avg", "col": "p.spend_minor", "as": "aov"}`, `{"fn": "avg", "as": "aov"}`, "/metrics/2/col"},
		{`"as": "aov"`, `"as": "reach"`, "/metrics/2/as"},
		{`{"fn": "people", "as": "reach"}`, `{"fn": "people", "col": "p.spend_minor", "as": "reach"}`, "/metrics/0/col"},
		// Identifiers are no columns, whatever they are called.
		{`"group_by": ["s.segment"]`, `"group_by": ["s.match_id"]`, "/group_by/0"},
		{`"col": "p.day"`, `"col": "p.data_subject_id"`, "/where/1/col"},
		// Privacy, purpose, room.
		{`"noise_people": 20`, `"noise_people": 9`, "/privacy/noise_people"},
		{`"noise_people": 20`, `"noise_people": 100001`, "/privacy/noise_people"},
		{`"noise_people": 20`, `"noise_people": 20.5`, ""},
		{`"noise_people": 20`, `"noise_people": 15`, "/privacy/noise_people"}, // 4.4 of 4 million
		{`"max_groups_per_person": 1`, `"max_groups_per_person": 0`, "/privacy/max_groups_per_person"},
		{`"max_groups_per_person": 1`, `"max_groups_per_person": 3`, "/privacy/max_groups_per_person"},
		{`"purpose": "campaign_measurement"`, `"purpose": "segmentation"`, "/purpose"},
		{`"purpose": "campaign_measurement"`, `"purpose": "Campaigns!"`, "/purpose"},
		{`"room": "r1"`, `"room": "r2"`, "/room"},
		{`"room": "r1",`, ``, "/room"},
		// What is not in the language.
		{`"group_by"`, `"order_by"`, ""},
		{`"room": "r1"`, `"room": "r1", "limit": 1`, ""},
		{`"room": "r1"`, `"room": "r1", "where_not": []`, ""},
		{`"room": "r1"`, `"room": "r1", "room": "r1"`, ""},
		{`"room": "r1"`, `"room": "r1", "values": {"x": "y"}`, "/values"},
		{`"room": "r1"`, `"room": "r1", "template": "x"`, "/template"},
	} {
		h := newHouse(t)
		document := change(t, reachQuery, test.old, test.now)
		_, err := h.ask(t, document)
		if err == nil {
			t.Errorf("%s was accepted", test.now)
			continue
		}
		if got := pointerOf(t, err); got != test.pointer || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: refused at %q, want %q (%v)", test.now, got, test.pointer, err)
		}
		if h.seen != nil || len(h.log.Entries()) != 0 || h.slept != 0 {
			t.Errorf("%s: something happened all the same", test.now)
		}
	}
}

// What the room lacks is told with its place too.
func TestQuestionOutsideOfTheRoom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  func(h *house)
		pointer string
	}{
		"not matched":    {func(h *house) { h.rooms.Snapshots = h.rooms.Snapshots[:1] }, "/from/0/dataset"},
		"not let in":     {func(h *house) { h.rooms.Contracts = h.rooms.Contracts[1:] }, "/from/1/dataset"},
		"owner has gone": {func(h *house) { h.rooms.Room.Members = h.rooms.Room.Members[:1] }, "/from/0/dataset"},
		"owns nothing":   {func(h *house) { h.rooms.Room.Members[1].Roles = nil }, "/from/0/dataset"},
		"another purpose": {func(h *house) {
			h.replace(t, purchases, func(c *cleanroom.Contract) { c.Purposes = []privacy.Purpose{"service"} })
		}, "/from/0/dataset"},
		"another unit":    {func(h *house) { h.replace(t, segments, func(c *cleanroom.Contract) { c.Unit = "person" }) }, "/from/1/dataset"},
		"templates alone": {func(h *house) { h.replace(t, purchases, func(c *cleanroom.Contract) { c.AdHoc = false }) }, "/template"},
		"newer words": {func(h *house) {
			h.replace(t, purchases, func(c *cleanroom.Contract) { c.Columns[0].Domain = []string{"drinks", "snacks", "other"} })
		}, "/where/0/col"},
		"newer column": {func(h *house) {
			h.replace(t, segments, func(c *cleanroom.Contract) { c.Columns[0].Name = "segments" })
		}, "/group_by/0"},
		"dearer": {func(h *house) { h.replace(t, purchases, func(c *cleanroom.Contract) { c.QueryCap = 2_499_999 }) }, "/privacy/noise_people"},
	} {
		h := newHouse(t)
		test.change(h)
		_, err := h.ask(t, reachQuery)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if got := pointerOf(t, err); got != test.pointer {
			t.Errorf("%s: refused at %q, want %q (%v)", name, got, test.pointer, err)
		}
	}
	h := newHouse(t)
	h.replace(t, purchases, func(c *cleanroom.Contract) { c.QueryCap = 2_499_999 })
	if _, err := h.ask(t, reachQuery); !strings.Contains(err.Error(), "noise of 21 people") {
		t.Errorf("how much noise would do: %v", err)
	}
}

// replace puts a newer contract in the place of a dataset's, which binds from then on.
func (h *house) replace(t testing.TB, ref cleanroom.DatasetRef, edit func(c *cleanroom.Contract)) {
	t.Helper()
	i := slices.IndexFunc(h.rooms.Contracts, func(c *cleanroom.SignedContract) bool { return c.Ref() == ref })
	document, err := json.Marshal(h.rooms.Contracts[i].Contract)
	if err != nil {
		t.Fatal(err)
	}
	newer := mustContract(t, string(document))
	newer.Version++
	edit(newer)
	h.rooms.Contracts = slices.Clone(h.rooms.Contracts)
	h.rooms.Contracts[i] = mustSign(t, newer)
}

// A newer contract that is stricter binds at once, over people who came in under an older one.
func TestNewerContractBinds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := mustQuestion(t, h, reachQuery)
	h.replace(t, purchases, func(c *cleanroom.Contract) { c.MinimumPeople, c.Columns[3].Hi = 70, 40_000 })
	after := mustQuestion(t, h, reachQuery)
	if after.Rule.MinimumPeople != 70 || after.Plan(0).Measures[0].Hi != 40_000 {
		t.Errorf("%+v", after.Rule)
	}
	if before.Digest() == after.Digest() {
		t.Error("an answer under the older contract would be handed out")
	}
}

func TestQuestionFollowsATemplate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.replace(t, purchases, func(c *cleanroom.Contract) { c.AdHoc = false })
	template := &cleanroom.SignedTemplate{Template: mustTemplate(t, reachTemplate), Signers: []cleanroom.PartyID{"brand", "retailer"}}
	h.rooms.Templates = []*cleanroom.SignedTemplate{template}
	const values = `{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "purpose": "campaign_measurement"}`
	first := h.mustAsk(t, values)
	if !h.policy.facts.Template {
		t.Error("the policies are not told that a template was followed")
	}
	whole, err := template.Template.Fill(&cleanroom.Query{
		Room: "r1", Template: "reach_by_segment@3", Purpose: "campaign_measurement",
		Values: map[string]json.RawMessage{"groups": json.RawMessage(`["snacks"]`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	if again := h.mustAsk(t, string(document)); !again.Repeated || again.Release.Digest != first.Release.Digest {
		t.Error("the whole query is another question")
	}
	for _, test := range []struct{ old, now, pointer string }{
		{`"val":"north"`, `"val":"south"`, "/template"},
		{`"group_by":["s.segment"],`, ``, "/template"},
		{`"fn":"avg"`, `"fn":"sum"`, "/template"},
		{`"val":["snacks"]`, `"val":["cheese"]`, "/where/0/val/0"},
	} {
		if _, err := h.ask(t, change(t, string(document), test.old, test.now)); err == nil {
			t.Errorf("%s was accepted", test.now)
		} else if got := pointerOf(t, err); got != test.pointer {
			t.Errorf("%s: refused at %q, want %q", test.now, got, test.pointer)
		}
	}
	denied := func(name, document string) {
		t.Helper()
		_, err := h.ask(t, document)
		if denied, ok := errors.AsType[*cleanroom.Denied](err); !ok || denied.Checks[0] != "room_template" {
			t.Errorf("%s: %v", name, err)
		}
	}
	denied("no such template", change(t, values, "@3", "@4"))
	template.Signers = []cleanroom.PartyID{"brand"}
	denied("not signed by an owner", values)
	template.Signers = []cleanroom.PartyID{"retailer"}
	denied("not signed by the asker", values)
}
