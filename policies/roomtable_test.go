package policies_test

import (
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestRoomTable: every act, relationship and category has its cell; what is special is let in
// nowhere, and what S23 allows is allowed.
func TestRoomTable(t *testing.T) {
	t.Parallel()
	engine, err := policies.Open(t.Context(), policies.Bundle(), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	revision := engine.Revision()
	table, err := revision.RoomTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	catalogue := revision.Catalogue()
	purposes := 0
	for _, id := range catalogue.Purposes() {
		if p, _ := catalogue.Purpose(id); p.Room != nil {
			purposes++
		}
	}
	if want := purposes * len(policies.RoomActs()) * 3 * len(catalogue.Categories()); len(table) != want || purposes < 3 {
		t.Errorf("%d cells for %d purposes, want %d", len(table), purposes, want)
	}
	find := func(purpose privacy.Purpose, act policies.RoomAct, relationship policies.Relationship, category privacy.DataCategory) policies.RoomCell {
		i := slices.IndexFunc(table, func(c policies.RoomCell) bool {
			return c.Purpose == purpose && c.Act == act && c.Relationship == relationship && c.Category == category
		})
		if i < 0 {
			t.Fatalf("no cell for %s %s %s %s", purpose, act, relationship, category)
		}
		return table[i]
	}
	for _, cell := range table {
		category, _ := catalogue.Category(cell.Category)
		switch {
		case cell.Allow != (len(cell.Failed) == 0):
			t.Errorf("%+v", cell)
		case (category.Special || category.Case) && (cell.Allow || !slices.Contains(cell.Failed, "room.nothing_special")):
			t.Errorf("special, and let in: %+v", cell)
		case cell.Relationship == policies.Processor && cell.Allow:
			t.Errorf("a processor has no interest of its own in a room: %+v", cell)
		case cell.Allow && cell.MinimumPeople < 50:
			t.Errorf("groups of less than 50: %+v", cell)
		}
	}
	if c := find("campaign_measurement", policies.QueryRoom, policies.ThirdParty, "purchases"); !c.Allow || c.MinimumPeople != 50 || c.QueryCap != 0 {
		t.Errorf("reach by what was bought: %+v", c)
	}
	if c := find("campaign_measurement", policies.QueryRoom, policies.ThirdParty, "location"); !c.Allow || c.MinimumPeople != 100 || c.QueryCap != 2_500_000 {
		t.Errorf("reach by place: %+v", c)
	}
	if c := find("audience_sync", policies.ActivateFromRoom, policies.ThirdParty, "purchases"); !c.Allow {
		t.Errorf("an audience: %+v", c)
	}
	if c := find("campaign_measurement", policies.ActivateFromRoom, policies.ThirdParty, "purchases"); c.Allow || !slices.Contains(c.Failed, "room.purpose_bound") {
		t.Errorf("an audience for a purpose that has none: %+v", c)
	}
}
