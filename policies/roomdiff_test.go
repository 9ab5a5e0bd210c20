package policies

import (
	"slices"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// TestRoomDiffSaysWhatAndWhere changes what is decided about clean rooms, each time in one
// place: rules of rooms, or what the catalogue says of them.
func TestRoomDiffSaysWhatAndWhere(t *testing.T) {
	t.Parallel()
	needsTable(t)
	const rules = "rego/room/room.rego"
	before := compiled(t)
	everyAct := RoomActs()
	for name, test := range map[string]struct {
		changes [][3]string
		want    []RoomChange // by purpose, move, and whatever else is not empty
		rules   bool
	}{
		"a purpose measures places no longer": {
			changes: [][3]string{{"catalogue/purposes.yaml", "room: {categories: [core, demographics, location, purchases, views, engagement, profile]}\n  signals: {gpc: true", "room: {categories: [core, demographics, purchases, views, engagement, profile]}\n  signals: {gpc: true"}},
			want: []RoomChange{{
				Purpose: "campaign_measurement", Move: RoomCloses, Acts: []RoomAct{AdmitToRoom, MatchInRoom, QueryRoom},
				Parties: []privacy.RecipientID{"brand_partner", "media_agency", "retail_media"}, Categories: []privacy.DataCategory{"location"}, Where: []string{""},
				From: RoomVerdict{Allow: true, MinimumPeople: 100, QueryCap: 2_500_000}, To: RoomVerdict{Failed: []string{"room.categories_admitted"}}, Cells: 9,
			}},
		},
		"a party may measure too": {
			changes: [][3]string{{"catalogue/recipients.yaml", "  relationship: third_party\n  purposes: [audience_sync]", "  relationship: third_party\n  purposes: [audience_sync, campaign_measurement]"}},
			want: []RoomChange{
				{Purpose: "campaign_measurement", Move: RoomOpens, Parties: []privacy.RecipientID{"ad_network"}, Categories: []privacy.DataCategory{"", "core", "demographics", "engagement", "profile", "purchases", "views"}, Where: []string{""}},
				{Purpose: "campaign_measurement", Move: RoomOpens, Parties: []privacy.RecipientID{"ad_network"}, Categories: []privacy.DataCategory{"location"}, Where: []string{""}},
			},
		},
		"groups are larger": {
			changes: [][3]string{{rules, "minimums contains 50\n", "minimums contains 80\n"}},
			want: []RoomChange{
				{Purpose: "analytics", Move: RoomLimits},
				{Purpose: "audience_sync", Move: RoomLimits},
				{Purpose: "campaign_measurement", Move: RoomLimits, Where: []string{""}, From: RoomVerdict{Allow: true, MinimumPeople: 50}, To: RoomVerdict{Allow: true, MinimumPeople: 80}},
				{Purpose: "segmentation", Move: RoomLimits},
			},
			rules: true,
		},
		"a question may cost less, and no free one is let in": {
			changes: [][3]string{
				{rules, "query_cap := 2500000 if", "query_cap := 1500000 if"},
				{rules, "\tevery dataset in input.datasets {\n\t\tdataset.ad_hoc == true\n\t}\n", "\tfalse\n"},
			},
			want: []RoomChange{
				{Purpose: "analytics", Move: RoomCloses},
				{Purpose: "audience_sync", Move: RoomCloses},
				{Purpose: "analytics", Move: RoomLimits},
				{Purpose: "audience_sync", Move: RoomLimits, Acts: everyAct[:3]},
				{Purpose: "audience_sync", Move: RoomLimits, Acts: everyAct[3:]},
				{Purpose: "campaign_measurement", Move: RoomLimits, From: RoomVerdict{Allow: true, MinimumPeople: 100, QueryCap: 2_500_000}, To: RoomVerdict{Allow: true, MinimumPeople: 100, QueryCap: 1_500_000}},
				{Purpose: "campaign_measurement", Move: RoomCloses, Acts: []RoomAct{QueryRoom}, Where: []string{"the question is a free one"}, To: RoomVerdict{Failed: []string{"room.template"}}},
				{Purpose: "segmentation", Move: RoomCloses},
			},
			rules: true,
		},
		"a role is enough without the other": {
			changes: [][3]string{{rules, "\t\"may_query\" in input.roles\n\t\"may_receive\" in input.roles\n", "\t\"may_query\" in input.roles\n"}},
			want: []RoomChange{
				{Purpose: "analytics", Move: RoomOpens},
				{Purpose: "audience_sync", Move: RoomOpens},
				{Purpose: "campaign_measurement", Move: RoomOpens, Acts: []RoomAct{QueryRoom}, Where: []string{"the party has not the role may_receive"}, From: RoomVerdict{Failed: []string{"room.role"}}},
				{Purpose: "segmentation", Move: RoomOpens},
			},
			rules: true,
		},
		"rooms for a purpose that has none": {
			changes: [][3]string{{
				rules, "\tcount(data.catalogue.purposes[input.room_purpose].room) > 0\n\tcount(data.catalogue.purposes[input.purpose].room) > 0\n",
				"\tcount(data.catalogue.purposes[input.purpose].channels) >= 0\n",
			}},
			want: []RoomChange{
				{Purpose: "content", Move: RoomOpens},
				{Purpose: "greeting", Move: RoomOpens},
				{Purpose: "loyalty", Move: RoomOpens},
				{Purpose: "phone_offers", Move: RoomOpens},
				{Purpose: "pricing", Move: RoomOpens},
				{Purpose: "recommendations", Move: RoomOpens},
				{Purpose: "special_offers_health", Move: RoomOpens},
				{Purpose: "store_coupons", Move: RoomOpens},
				{Purpose: "newsletter", Move: RoomOpens, Parties: []privacy.RecipientID{"crm"}, Categories: []privacy.DataCategory{""}, From: RoomVerdict{Failed: []string{"room.purpose_measures"}}},
			},
			rules: true,
		},
		"the same rules in other words": {
			changes: [][3]string{{rules, "input.v == 1", "1 == input.v"}},
			rules:   true,
		},
		"comments and titles": {
			changes: [][3]string{{rules, "# A group of fewer people than this is never told about.", "# Too few are none."}, {rules, "# title: Nothing is asked", "# title: Nobody asks"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			after := compiled(t, test.changes...)
			changes, err := diffRooms(t.Context(), before, after)
			if err != nil {
				t.Fatal(err)
			}
			if got := roomRulesAsWritten(before) != roomRulesAsWritten(after); got != test.rules {
				t.Errorf("rules changed: %v, want %v", got, test.rules)
			}
			for _, want := range test.want {
				if !slices.ContainsFunc(changes, func(got RoomChange) bool { return got.is(&want) }) {
					t.Errorf("lacks %+v", want)
				}
			}
			for _, got := range changes {
				if got.Title == "" || got.Title == string(got.Purpose) || got.Cells == 0 {
					t.Errorf("without a title or a number: %+v", got)
				}
				if !slices.ContainsFunc(test.want, func(want RoomChange) bool { return want.Purpose == got.Purpose && want.Move == got.Move }) {
					t.Errorf("is not meant: %+v", got)
				}
			}
			if t.Failed() {
				for _, got := range changes {
					t.Logf("%+v", got)
				}
			}
		})
	}
}

// is compares what want has.
func (c *RoomChange) is(want *RoomChange) bool {
	verdict := func(got, want RoomVerdict) bool {
		return !want.Allow && len(want.Failed) == 0 ||
			got.Allow == want.Allow && slices.Equal(got.Failed, want.Failed) && got.MinimumPeople == want.MinimumPeople && got.QueryCap == want.QueryCap
	}
	return c.Purpose == want.Purpose && c.Move == want.Move && (want.Cells == 0 || c.Cells == want.Cells) &&
		(want.Acts == nil || slices.Equal(c.Acts, want.Acts)) && (want.Parties == nil || slices.Equal(c.Parties, want.Parties)) &&
		(want.Categories == nil || slices.Equal(c.Categories, want.Categories)) && (want.Where == nil || slices.Equal(c.Where, want.Where)) &&
		verdict(c.From, want.From) && verdict(c.To, want.To)
}
