package assembly

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

const householdContract = `{
  "owner": "retail_media", "dataset": "homes", "version": 1, "source": "house", "unit": "person",
  "purposes": ["audience_sync", "campaign_measurement"],
  "columns": [
    {"name": "home", "role": "dimension", "type": "enum", "category": "profile", "domain": ["gold", "silver"]},
    {"name": "people", "role": "measure", "type": "integer", "category": "profile", "lo": 0, "hi": 1, "functions": ["sum"]}
  ],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 1, "ad_hoc": true
}`

const householdMapping = `
version: 1
identifier: {kind: email, attribute: email}
columns:
  home: {attribute: loyalty_tier}
  people: {one: true}
`

// openHomes opens a room of the house's own people.
func openHomes(t *testing.T, house *House) {
	t.Helper()
	by := Operator("tester")
	for _, party := range []cleanroom.PartyID{"retail_media", "brand_partner"} {
		secret, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{byte(len(party))}, 64)), string(party))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := house.Rooms.Register.AddParty(t.Context(), by, party, public); err != nil {
			t.Fatal(err)
		}
		if party != "retail_media" {
			continue
		}
		signer, err := cleanroom.ParseSigner(secret)
		if err != nil {
			t.Fatal(err)
		}
		contract, err := cleanroom.ParseContract([]byte(householdContract))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := cleanroom.SignContract(contract, signer)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := house.Rooms.Register.AddContract(t.Context(), by, signed, party, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, err := house.Rooms.Register.OpenRoom(t.Context(), by, &cleanroom.Room{
		ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumMembers: 2,
		Members: []cleanroom.Member{
			{Party: "brand_partner", Roles: []cleanroom.Role{cleanroom.MayQuery, cleanroom.MayReceive, cleanroom.MayActivate}},
			{Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}},
		},
		Datasets: []cleanroom.DatasetRef{{Owner: "retail_media", Dataset: "homes"}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// loadHomes loads people born in 1980, but for one who is a child.
func loadHomes(t *testing.T, house *House, n, child int) []privacy.DataSubjectID {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		born := "1980-05-01"
		if i == child {
			born = "2021-05-01"
		}
		fmt.Fprintf(&lines, `{"identifiers":[{"kind":"customer_number","value":"K-%d"}],"jurisdiction":"CZ","attributes":{"email":"p%d@example.com","loyalty_tier":"gold","birth_date":"%s"}}`+"\n", i, i, born)
	}
	result, err := house.Loader.LoadStream(t.Context(), strings.NewReader(lines.String()), intake.StreamOptions{Principal: Operator("tester")})
	if err != nil || len(result.Rejects) > 0 {
		t.Fatal(result.Rejects, err)
	}
	ids := make([]privacy.DataSubjectID, n)
	for i := range ids {
		if ids[i], err = house.People.ResolveIdentifier(t.Context(), customer(i)); err != nil {
			t.Fatal(err)
		}
	}
	return ids
}

func countOf(t *testing.T, pool *pgxpool.Pool, sql string, arguments ...any) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), sql, arguments...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestHouseInARoom: whose consent covers the room is drawn and nobody else; who withdraws
// before or after the match is gone with the very transaction; and an export says who was there.
func TestHouseInARoom(t *testing.T) {
	t.Parallel()
	house, database := newHouse(t)
	pool := database.OwnerPool(t)
	openHomes(t, house)
	ids := loadHomes(t, house, 8, 2)
	change := func(i int) consent.Change {
		return consent.Change{DataSubject: ids[i], Purpose: "campaign_measurement", Channel: "*", NoticeVersion: "n1", Source: "web_form"}
	}
	withdraw := func(i int) {
		t.Helper()
		if _, err := house.Consent.Withdraw(t.Context(), Operator("tester"), change(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 7 { // the last one was never asked
		if _, err := house.Consent.Grant(t.Context(), Operator("tester"), change(i)); err != nil {
			t.Fatal(err)
		}
	}
	withdraw(1)
	mapping, err := draw.ParseMapping([]byte(householdMapping))
	if err != nil {
		t.Fatal(err)
	}
	drawer, err := house.Drawer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	staysOf := func(i int) (stays []export.Stay) {
		t.Helper()
		err := postgres.NewExportStore(house.People, house.Log).Read(t.Context(), ids[i], func(r export.Reader) (err error) {
			stays, err = r.Stays(t.Context())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return stays
	}
	// A draw that breaks off is a room that nobody has been in.
	broken, breakOff := context.WithCancel(t.Context())
	during := 0
	_, err = drawer.Draw(broken, Operator("tester"), draw.Order{
		Room: "spring", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
		Progress: func(int64, int64) { during = len(staysOf(4)); breakOff() },
	})
	if n := countOf(t, pool, `select count(*) from cleanroom.stay`); !errors.Is(err, context.Canceled) || during != 1 || n != 5 {
		t.Errorf("a draw that breaks off: %v; %d rooms while it ran, %d stays", err, during, n)
	}
	if stays := staysOf(4); len(stays) > 0 {
		t.Errorf("after a draw that came to nothing the export says %+v", stays)
	}
	var seen, again int64
	drawn, err := drawer.Draw(t.Context(), Operator("tester"), draw.Order{
		Room: "spring", Dataset: cleanroom.DatasetRef{Owner: "retail_media", Dataset: "homes"}, Mapping: mapping,
		Looking: func(done, _ int64) { seen = done }, Progress: func(done, _ int64) { again = done },
	})
	if err != nil {
		t.Fatal(err)
	}
	// Of seven who once agreed one has withdrawn and one is a child.
	if drawn.Members != 5 || drawn.Rows != 5 || seen != 7 || again != 5 {
		t.Errorf("%d members with %d rows of %d people, %d of whom were looked at again", drawn.Members, drawn.Rows, seen, again)
	}
	if entry, index := last(t, house); entry.Kind != audit.SnapshotAdmitted || index != drawn.Receipt.Index() || entry.Purpose != "campaign_measurement" ||
		entry.Policy != house.PolicyDigest() || entry.Concerning != "retail_media" {
		t.Errorf("entry %d: %s", index, entry.Kind)
	}
	withdraw(0)
	if n := countOf(t, pool, `select count(*) from cleanroom.staged_member`); n != 4 {
		t.Errorf("%d are staged after a withdrawal", n)
	}
	snapshots := postgres.NewSnapshotStore(house.DB, house.Log)
	if _, _, err := snapshots.Match(t.Context(), "spring", staged(t, house, "spring"), audit.Event{Kind: audit.RoomMatched, Outcome: audit.Done, Principal: Operator("tester"), Purpose: "campaign_measurement"}); err != nil {
		t.Fatal(err)
	}
	if n := countOf(t, pool, `select count(*) from cleanroom.fact`); n != 4 {
		t.Errorf("%d facts after the match", n)
	}
	withdraw(3)
	for table, want := range map[string]int{"fact": 3, "seat": 3, "presence": 3, "stay": 5} {
		if n := countOf(t, pool, `select count(*) from cleanroom.`+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
	for i, present := range map[int]bool{3: false, 4: true} {
		stays := staysOf(i)
		if len(stays) != 1 || stays[0].Present != present || len(stays[0].Snapshots) > 0 != present || len(stays[0].Members) != 2 {
			t.Errorf("person %d: %+v", i, stays)
		}
		dossier, err := house.Dossier(t.Context(), Operator("tester"), ids[i])
		if err != nil || len(dossier.Stays) != 1 || dossier.Stays[0].Present != present || dossier.Stays[0].Purpose != "campaign_measurement" {
			t.Errorf("what is held about person %d: %+v, %v", i, dossier, err)
		}
	}
	if dump := database.Dump(t); strings.Contains(dump, "p4@example.com") {
		t.Error("a dump names somebody")
	}
	// Five people are no audience: that is charged, and told without a number.
	const question = `{"room":"spring","from":[{"dataset":"retail_media.homes","as":"h"}],"where":[{"col":"h.home","op":"=","val":"gold"}],
		"metrics":[],"privacy":{"noise_people":20,"max_groups_per_person":1},"purpose":"audience_sync"}`
	brand := privacy.Principal{ID: "buyer", Role: privacy.RoleService, Recipient: "brand_partner"}
	_, err = house.Activator().Activate(t.Context(), brand, "spring", []byte(question))
	denied, is := errors.AsType[*cleanroom.Denied](err)
	if !is || len(denied.Checks) != 1 || denied.Checks[0] != "audience.large_enough" {
		t.Errorf("an audience of three: %v %+v", err, denied)
	}
	mustActivateByTemplate(t, house, brand, question)
	if report, err := house.VerifyLog(t.Context(), nil); err != nil {
		t.Errorf("the log: %+v, %v", report, err)
	}
}

// mustActivateByTemplate lets nothing but templates into the dataset and activates by one that has
// the activation's purpose, which is not the room's. Its people are too few.
func mustActivateByTemplate(t *testing.T, house *House, brand privacy.Principal, question string) {
	t.Helper()
	signers := map[cleanroom.PartyID]*cleanroom.Signer{}
	for _, party := range []cleanroom.PartyID{"retail_media", "brand_partner"} {
		secret, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{byte(len(party))}, 64)), string(party)) // as openHomes does
		if err != nil {
			t.Fatal(err)
		}
		if signers[party], err = cleanroom.ParseSigner(secret); err != nil {
			t.Fatal(err)
		}
	}
	contract, err := cleanroom.ParseContract([]byte(strings.NewReplacer(`"ad_hoc": true`, `"ad_hoc": false`, `"version": 1`, `"version": 2`).Replace(householdContract)))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cleanroom.SignContract(contract, signers["retail_media"])
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := house.Rooms.Register.AddContract(t.Context(), Operator("tester"), signed, "retail_media", ""); err != nil {
		t.Fatal(err)
	}
	activate := func(document, check string) {
		t.Helper()
		_, err := house.Activator().Activate(t.Context(), brand, "spring", []byte(document))
		if denied, is := errors.AsType[*cleanroom.Denied](err); !is || len(denied.Checks) != 1 || denied.Checks[0] != check {
			t.Errorf("activating: %v, and not refused by %s", err, check)
		}
	}
	file := func(name, query string, parties ...cleanroom.PartyID) error {
		t.Helper()
		template, err := cleanroom.ParseTemplate([]byte(`{"name": "` + name + `", "version": 1, "query": ` + query + `}`))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := cleanroom.SignTemplate(template, signers[parties[0]])
		for _, party := range parties[1:] {
			if err == nil {
				signed, err = cleanroom.CosignTemplate(signed, signers[party])
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = house.Rooms.Register.AddTemplate(t.Context(), Operator("tester"), "spring", signed)
		return err
	}
	const byTemplate = `{"room":"spring","template":"golden@1","values":{},"purpose":"audience_sync"}`
	_, err = house.Activator().Activate(t.Context(), brand, "spring", []byte(question))
	if fault, is := errors.AsType[*privacy.FieldError](err); !is || fault.Pointer != "/template" {
		t.Errorf("activating without a template: %v", err)
	}
	activate(byTemplate, "room_template")
	if err := file("golden", question, "retail_media"); err != nil {
		t.Fatal(err)
	}
	activate(byTemplate, "room_template") // whoever asks has not signed it
	if err := file("golden", question, "retail_media", "brand_partner"); err != nil {
		t.Fatal(err)
	}
	activate(byTemplate, "audience.large_enough")
	for name, query := range map[string]string{
		"counted":   strings.Replace(question, `"metrics":[]`, `"metrics":[{"fn":"people","as":"n"}]`, 1),
		"elsewhere": strings.Replace(question, `"audience_sync"`, `"legal_obligation"`, 1),
	} {
		err := file(name, query, "retail_media")
		if fault, is := errors.AsType[*privacy.FieldError](err); !is || fault.Pointer != "/query/purpose" {
			t.Errorf("the template %s: %v", name, err)
		}
	}
}
