package assembly

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const loyaltyContract = `{
  "owner": "brand_partner", "dataset": "loyalty", "version": 1, "source": "party", "unit": "person", "purposes": ["campaign_measurement"],
  "columns": [
    {"name": "tier", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["gold", "silver"]},
    {"name": "points", "role": "measure", "type": "integer", "category": "purchases", "lo": 0, "hi": 100, "functions": ["sum", "avg"]}
  ],
  "minimum_people": 50, "cap_nanorho": 100000000, "consumer_cap_nanorho": 20000000, "query_cap_nanorho": 5000000,
  "max_groups_per_person": 1, "ad_hoc": true
}`

// loyaltyQuery is a question about it.
const loyaltyQuery = `{"room":"loyalty","from":[{"dataset":"brand_partner.loyalty","as":"l"}],"group_by":["l.tier"],` +
	`"metrics":[{"fn":"people","as":"reach"},{"fn":"sum","col":"l.points","as":"points"}],` +
	`"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"campaign_measurement"}`

// mustMatchedRoom opens a room with a dataset of 1,100 people, who are matched: 1,000 are gold
// and have 10 points each.
func mustMatchedRoom(t *testing.T, house *House) {
	t.Helper()
	must := func(_ audit.Receipt, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, by := t.Context(), Operator("tester")
	secret, public, err := cleanroom.GenerateKey(rand.Reader, "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	contract, err := cleanroom.ParseContract([]byte(loyaltyContract))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cleanroom.SignContract(contract, signer)
	if err != nil {
		t.Fatal(err)
	}
	must(house.Rooms.Register.AddParty(ctx, by, "brand_partner", strings.TrimSpace(public)))
	_, receipt, err := house.Rooms.Register.AddContract(ctx, by, signed, "brand_partner", "")
	must(receipt, err)
	ref := cleanroom.DatasetRef{Owner: "brand_partner", Dataset: "loyalty"}
	must(house.Rooms.Register.OpenRoom(ctx, by, &cleanroom.Room{
		ID: "loyalty", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumEpoch: time.Hour, MinimumMembers: 2,
		Members:  []cleanroom.Member{{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery, cleanroom.MayReceive}}},
		Datasets: []cleanroom.DatasetRef{ref},
	}))
	const people = 1100
	id, err := house.Rooms.Snapshots.Begin(ctx, cleanroom.Admission{Room: "loyalty", Dataset: ref, Contract: 1, Manifest: audit.Digest{1}, Identifier: privacy.Email, Members: people, Rows: people}, audit.Event{})
	if err != nil {
		t.Fatal(err)
	}
	var members []cleanroom.StagedMember
	var rows []cleanroom.StagedRow
	for i := range int64(people) {
		token := sha256.Sum256(fmt.Append(nil, i))
		members = append(members, cleanroom.StagedMember{Ordinal: i, Token: token[:]})
		rows = append(rows, cleanroom.StagedRow{Ordinal: i, Dimensions: []int32{int32(i / 1000)}, Measures: []int64{10}})
	}
	if err := house.Rooms.Snapshots.TakeMembers(ctx, id, 0, audit.Digest{}, members); err != nil {
		t.Fatal(err)
	}
	if err := house.Rooms.Snapshots.TakeRows(ctx, id, 0, rows); err != nil {
		t.Fatal(err)
	}
	event := func(kind audit.Kind) audit.Event {
		return audit.Event{Kind: kind, Outcome: audit.Done, Principal: by, Purpose: "campaign_measurement", List: audit.Digest{1}}
	}
	must(house.Rooms.Snapshots.Admit(ctx, id, event(audit.SnapshotAdmitted)))
	_, receipt, err = house.Rooms.Snapshots.Match(ctx, "loyalty", []cleanroom.SnapshotID{id}, event(audit.RoomMatched))
	must(receipt, err)
	// The key by which groups are drawn is made at the first match by the command line.
	if _, err := house.Keys.EnsureRooms(); err != nil {
		t.Fatal(err)
	}
}

// loyalty is a service of the party that owns the data.
var loyalty = privacy.Principal{ID: "brand", Role: privacy.RoleService, Recipient: "brand_partner"}
