package assembly

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/intake"
)

// homesQuery is about the people whom mustHomes brings into a room.
const homesQuery = `{"room":"homes","from":[{"dataset":"retail_media.homes","as":"h"}],"where":[{"col":"h.home","op":"=","val":"gold"}],` +
	`"metrics":[],"privacy":{"noise_people":10,"max_groups_per_person":1},"purpose":"audience_sync"}`

// mustHomes opens the room homes, in which retail_media has 1,250 people of the house matched,
// who agreed to all of it, and brand_partner may activate. Both take part already.
func mustHomes(t *testing.T, house *House, signer *cleanroom.Signer) {
	t.Helper()
	ctx, by := t.Context(), Operator("tester")
	must := func(_ audit.Receipt, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var lines strings.Builder
	for i := range 1250 {
		fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"H-%d"}],"jurisdiction":"CZ","attributes":{"email":"h%d@example.com","loyalty_tier":"gold","birth_date":"1980-05-01"},"consents":[`, i, i)
		for k, purpose := range []string{"campaign_measurement", "audience_sync"} {
			fmt.Fprintf(&lines, `%s{"action":"granted","explicit":true,"purpose":"%s","channel":"*","notice_version":"n1","source":"web_form","effective_at":"2026-01-01T00:00:00Z"}`, strings.Repeat(",", k), purpose)
		}
		lines.WriteString("]}\n")
	}
	result, err := house.Loader.LoadStream(ctx, strings.NewReader(lines.String()), intake.StreamOptions{Principal: by})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	contract, err := cleanroom.ParseContract([]byte(householdContract))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cleanroom.SignContract(contract, signer)
	if err != nil {
		t.Fatal(err)
	}
	_, receipt, err := house.Rooms.Register.AddContract(ctx, by, signed, signer.Party(), "")
	must(receipt, err)
	ref := cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}
	must(house.Rooms.Register.OpenRoom(ctx, by, &cleanroom.Room{
		ID: "homes", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumMembers: 2,
		Members: []cleanroom.Member{
			{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.MayActivate}}, {Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}},
		},
		Datasets: []cleanroom.DatasetRef{ref},
	}))
	mapping, err := draw.ParseMapping([]byte(householdMapping))
	if err != nil {
		t.Fatal(err)
	}
	drawer, err := house.Drawer(ctx)
	if err != nil {
		t.Fatal(err)
	}
	drawn, err := drawer.Draw(ctx, by, draw.Order{Room: "homes", Dataset: ref, Mapping: mapping})
	if err != nil || drawn.Members != 1250 {
		t.Fatalf("%+v, %v", drawn, err)
	}
	_, receipt, err = house.MatchRoom(ctx, by, "homes")
	must(receipt, err)
}
