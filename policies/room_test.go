package policies_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// reach is the question that a brand may ask.
func reach() policies.RoomFacts {
	return policies.RoomFacts{
		Act: policies.QueryRoom, Party: "brand_partner", Members: []privacy.RecipientID{"retail_media", "brand_partner"},
		Roles: []string{"may_receive", "may_query"}, Purpose: "campaign_measurement", RoomPurpose: "campaign_measurement",
		Mode: "dp", Template: true,
		Datasets: []policies.RoomDataset{
			{Owner: "retail_media", Purposes: []privacy.Purpose{"campaign_measurement"}, Source: "house"},
			{Owner: "brand_partner", Purposes: []privacy.Purpose{"campaign_measurement"}, Source: "party"},
		},
		Columns: []policies.RoomColumn{
			{Dataset: 0, Category: "purchases", Role: "dimension", Vocabulary: policies.VocabularyProductGroups, Values: []string{"grocery.dairy", "APPLES"}},
			{Dataset: 1, Category: "engagement", Role: "dimension", Values: []string{"spring", "summer"}},
		},
	}
}

// patient bears a machine with much to do.
func patient(t *testing.T) *policies.Revision {
	t.Helper()
	engine, err := policies.Open(t.Context(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return engine.Revision()
}

func TestDecideRoom(t *testing.T) {
	t.Parallel()
	revision := patient(t)
	for _, c := range []struct {
		name   string
		change func(*policies.RoomFacts)
		failed []string
		people int
		limit  int64
	}{
		{"as signed", func(*policies.RoomFacts) {}, nil, 50, 0},
		{"places", func(f *policies.RoomFacts) { f.Columns[1].Category = "location" }, nil, 100, 2_500_000},
		{"nothing said", func(f *policies.RoomFacts) { *f = policies.RoomFacts{} }, []string{
			"room.mode", "room.owners", "room.parties_contracted", "room.parties_known", "room.purpose_bound",
			"room.purpose_measures", "room.relationship", "room.role", "room.template", "room.well_formed", "room.by_consent",
		}, 0, 0},
		{"pregnancy tests by their group", func(f *policies.RoomFacts) {
			f.Columns[0].Values = []string{"grocery.dairy", "health.pregnancy_test"}
		}, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests by the shop's label", func(f *policies.RoomFacts) { f.Columns[0].Values = []string{"PREGNANCY TEST KITS"} }, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests by the shop's category", func(f *policies.RoomFacts) { f.Columns[0].Values = []string{"HOME HEALTH CARE"} }, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests without a vocabulary", func(f *policies.RoomFacts) {
			f.Columns[0].Vocabulary, f.Columns[0].Values = "", []string{"PREGNANCY TEST KITS", "rest"}
		}, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests in a hidden column", func(f *policies.RoomFacts) {
			f.Columns = append(f.Columns, policies.RoomColumn{Category: "purchases", Role: "hidden", Values: []string{"gebelik testi"}})
		}, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests by a column's name", func(f *policies.RoomFacts) {
			f.Columns[1].Name, f.Columns[1].Values = "bought_pregnancy_test", []string{"yes", "no"}
		}, []string{"room.words_harmless"}, 0, 0},
		{"pregnancy tests by a measure's name", func(f *policies.RoomFacts) {
			f.Columns = append(f.Columns, policies.RoomColumn{Category: "purchases", Role: "measure", Name: "gebelik_testi"})
		}, []string{"room.words_harmless"}, 0, 0},
		{"names of no product", func(f *policies.RoomFacts) { f.Columns[0].Name, f.Columns[1].Name = "product_group", "discount" }, nil, 50, 0},
		{"pregnancy by hints", func(f *policies.RoomFacts) { f.Columns[0].Values = []string{"beauty.body_lotion"} }, []string{"room.words_harmless"}, 0, 0},
		{"what is left, under a name of its own", func(f *policies.RoomFacts) {
			f.Columns[0].Values, f.Columns[0].Other = []string{"grocery.dairy", "the rest"}, "the rest"
		}, nil, 50, 0},
		{"pregnancy tests as what is left", func(f *policies.RoomFacts) {
			f.Columns[0].Values, f.Columns[0].Other = []string{"grocery.dairy", "health.pregnancy_test"}, "health.pregnancy_test"
		}, []string{"room.words_harmless"}, 0, 0},
		{"a free question", func(f *policies.RoomFacts) { f.Template = false }, []string{"room.template"}, 0, 0},
		{"a stranger asks for exact numbers", func(f *policies.RoomFacts) { f.Mode = "k_only" }, []string{"room.mode"}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			facts := reach()
			c.change(&facts)
			got, err := revision.DecideRoom(t.Context(), facts)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(c.failed)
			want := policies.RoomDecision{
				Allow: c.failed == nil, Failed: c.failed, MinimumPeople: c.people, QueryCap: c.limit, Policy: revision.Digest(),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			for _, check := range got.Failed {
				if reason := revision.Reason(check); reason.Title == "" || len(reason.Laws) == 0 {
					t.Errorf("nothing explains %s", check)
				}
			}
		})
	}
}

// TestDecideRoomHasNoOrder: the decision does not depend on the order of lists.
func TestDecideRoomHasNoOrder(t *testing.T) {
	t.Parallel()
	revision := patient(t)
	want, err := revision.DecideRoom(t.Context(), reach())
	if err != nil {
		t.Fatal(err)
	}
	facts := reach()
	slices.Reverse(facts.Members)
	slices.Reverse(facts.Roles)
	slices.Reverse(facts.Datasets)
	slices.Reverse(facts.Columns)
	for i := range facts.Columns {
		facts.Columns[i].Dataset = 1 - facts.Columns[i].Dataset
		slices.Reverse(facts.Columns[i].Values)
	}
	got, err := revision.DecideRoom(t.Context(), facts)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// TestDecideRoomFailsClosed: rules that say nothing, say it in another shape or contradict
// themselves allow nothing.
func TestDecideRoomFailsClosed(t *testing.T) {
	t.Parallel()
	for name, rules := range map[string]string{
		"nothing":        "package mahrem.room\n\nimport future.keywords.not\n",
		"another shape":  "package mahrem.room\n\nimport future.keywords.not\n\ndecision := true\n",
		"a failed check": "package mahrem.room\n\nimport future.keywords.not\n\ndecision := {\"allow\": true, \"failed\": {\"x\"}, \"minimum_people\": 50, \"query_cap\": 0}\n",
		"groups of one":  "package mahrem.room\n\nimport future.keywords.not\n\ndecision := {\"allow\": true, \"failed\": set(), \"minimum_people\": 1, \"query_cap\": 0}\n",
		"no number":      "package mahrem.room\n\nimport future.keywords.not\n\ndecision := {\"allow\": true, \"failed\": set(), \"minimum_people\": \"50\", \"query_cap\": 0}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			engine, err := policies.Open(t.Context(), withRoomRules(t, rules), policies.Config{EvaluationLimit: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			decision, err := engine.Revision().DecideRoom(t.Context(), reach())
			if !errors.Is(err, policies.ErrPolicy) || decision.Allow || len(decision.Failed) == 0 {
				t.Errorf("decision %+v, error %v", decision, err)
			}
			if engine.Status().Failures.Broken == 0 {
				t.Error("the failure was not counted")
			}
		})
	}
}

func withRoomRules(t *testing.T, rules string) fstest.MapFS {
	t.Helper()
	bundle := patched(t, "rego/room/room.rego", "package mahrem.room", "package mahrem.room")
	bundle["rego/room/room.rego"] = &fstest.MapFile{Data: []byte(rules)}
	delete(bundle, "rego/room/room_test.rego")
	return bundle
}

// TestProbeFindsOpenRooms: a room whose rules lost a demand never becomes active.
func TestProbeFindsOpenRooms(t *testing.T) {
	t.Parallel()
	for _, check := range []string{
		"well_formed", "parties_contracted", "role", "purpose_bound", "owners", "contracts_admit", "template", "mode",
		"categories_admitted", "words_harmless",
	} {
		t.Run(check, func(t *testing.T) {
			t.Parallel()
			bundle := patched(t, "rego/room/room.rego", "\t\"room."+check+"\",\n", "")
			if check == "categories_admitted" { // what is special is refused twice
				file := bundle["rego/room/room.rego"]
				file.Data = []byte(strings.Replace(string(file.Data), "\t\"room.nothing_special\",\n", "", 1))
			}
			if check == "parties_contracted" { // what is not known is contracted for nothing
				file := bundle["rego/room/room.rego"]
				file.Data = []byte(strings.Replace(string(file.Data), "\t\"room.relationship\",\n", "", 1))
			}
			err := policies.New(policies.Config{EvaluationLimit: time.Minute}).Activate(t.Context(), bundle)
			if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "a room may") {
				t.Errorf("without %s: %v", check, err)
			}
		})
	}
}

func ExampleRevision_DecideRoom() {
	engine, err := policies.Open(context.Background(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	facts := reach()
	facts.Columns[0].Values = append(facts.Columns[0].Values, "PREGNANCY TEST KITS")
	decision, err := engine.Revision().DecideRoom(context.Background(), facts)
	fmt.Println(decision.Allow, decision.Failed, err)
	// Output: false [room.words_harmless] <nil>
}
