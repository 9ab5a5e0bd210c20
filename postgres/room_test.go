package postgres

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// roomTest is a database with a register of rooms.
type roomTest struct {
	db       *DB
	database *pgtest.Database
	log      *AuditLog
	rooms    *RoomStore
	signers  map[cleanroom.PartyID]*cleanroom.Signer
	keys     map[cleanroom.PartyID]string
}

func newRoomTest(t testing.TB, parties ...cleanroom.PartyID) *roomTest {
	t.Helper()
	db, database := newDB(t)
	r := &roomTest{
		db: db, database: database, log: newAuditLog(t, db, auditConfig()),
		signers: map[cleanroom.PartyID]*cleanroom.Signer{}, keys: map[cleanroom.PartyID]string{},
	}
	r.rooms = NewRoomStore(db, r.log)
	for i, party := range parties {
		r.addParty(t, party, byte(i+1))
	}
	return r
}

func (r *roomTest) addParty(t testing.TB, party cleanroom.PartyID, seed byte) {
	t.Helper()
	secret, public, err := cleanroom.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)), party)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cleanroom.ParseSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	r.signers[party], r.keys[party] = signer, strings.TrimSpace(public)
	if _, err := r.rooms.AddParty(t.Context(), cleanroom.Party{ID: party, Key: r.keys[party]}, roomEvent(audit.PartyAdmitted)); err != nil {
		t.Fatal(err)
	}
}

// roomEvent is what a party says has happened.
func roomEvent(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, Outcome: audit.Done, Principal: privacy.Principal{ID: "dpo@house.example", Role: privacy.RoleDPO}}
}

// contract returns a contract over one dimension as its owner signed it.
func (r *roomTest) contract(t testing.TB, ref cleanroom.DatasetRef, version int, total, consumer cleanroom.Rho) *cleanroom.FiledContract {
	t.Helper()
	c := &cleanroom.Contract{
		Owner: ref.Owner, Dataset: ref.Dataset, Version: version, Source: cleanroom.FromParty, Unit: "person",
		Purposes: []privacy.Purpose{"campaign_measurement"}, MinimumPeople: 50, Cap: total, ConsumerCap: consumer, QueryCap: 1,
		MaxGroupsPerPerson: 1, AdHoc: true,
		Columns: []cleanroom.Column{{Name: "region", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "location", Domain: []string{"north", "south"}}},
	}
	signed, err := cleanroom.SignContract(c, r.signers[ref.Owner])
	if err != nil {
		t.Fatal(err)
	}
	key, err := cleanroom.ParseVerifier(r.keys[ref.Owner], ref.Owner)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := cleanroom.OpenContract(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return &cleanroom.FiledContract{SignedContract: *opened, Verifier: r.keys[ref.Owner]}
}

func (r *roomTest) file(t testing.TB, filed *cleanroom.FiledContract) {
	t.Helper()
	if _, err := r.rooms.AddContract(t.Context(), filed, roomEvent(audit.ContractSigned)); err != nil {
		t.Fatal(err)
	}
}

// open opens a room of all parties, with a dataset of the first ones.
func (r *roomTest) open(t testing.TB, id cleanroom.RoomID, datasets ...cleanroom.DatasetRef) *cleanroom.Room {
	t.Helper()
	room := &cleanroom.Room{
		ID: id, Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: cleanroom.MatchOperator,
		MinimumEpoch: 7 * 24 * time.Hour, MinimumMembers: 1000, Datasets: datasets,
	}
	parties, err := r.rooms.Parties(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, party := range parties {
		room.Members = append(room.Members, cleanroom.Member{Party: party.ID, Roles: []cleanroom.Role{cleanroom.OwnsData, cleanroom.MayQuery}})
	}
	if _, err := r.rooms.OpenRoom(t.Context(), room, roomEvent(audit.RoomOpened)); err != nil {
		t.Fatal(err)
	}
	return room
}

func TestRoomsAreAsTheyWereOpened(t *testing.T) {
	t.Parallel()
	r := newRoomTest(t, "brand", "retailer")
	room := r.open(t, "campaign", cleanroom.DatasetRef{Owner: "brand", Dataset: "audience"}, cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"})
	found, err := r.rooms.RoomOf(t.Context(), "campaign")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(room, found); diff != "" {
		t.Errorf("another room (-opened +found):\n%s", diff)
	}
	if _, err := r.rooms.OpenRoom(t.Context(), room, roomEvent(audit.RoomOpened)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := r.rooms.RoomOf(t.Context(), "another"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("found a room that is not there: %v", err)
	}

	// A party that is removed is no member of any room any more, and may not come back with
	// the key that it had.
	if _, err := r.rooms.RemoveParty(t.Context(), "brand", roomEvent(audit.PartyRemoved)); err != nil {
		t.Fatal(err)
	}
	after, err := r.rooms.RoomOf(t.Context(), "campaign")
	if err != nil {
		t.Fatal(err)
	}
	if _, member := after.Member("brand"); member || len(after.Gone) != 1 {
		t.Errorf("a party that was removed is a member: %v, gone %v", after.Members, after.Gone)
	}
	if after.Digest() != room.Digest() {
		t.Error("the digest of a room changes with who is there")
	}
	if _, err := r.rooms.AddParty(t.Context(), cleanroom.Party{ID: "brand", Key: r.keys["brand"]}, roomEvent(audit.PartyAdmitted)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("came back with a key that was taken back: %v", err)
	}
	r.addParty(t, "brand", 77)
	if back, err := r.rooms.RoomOf(t.Context(), "campaign"); err != nil || len(back.Members) != 2 {
		t.Errorf("did not come back with a new key: %v, %v", back, err)
	}

	if _, err := r.rooms.CloseRoom(t.Context(), "campaign", roomEvent(audit.RoomClosed)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.rooms.CloseRoom(t.Context(), "campaign", roomEvent(audit.RoomClosed)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("closed twice: %v", err)
	}
	if open, err := r.rooms.Rooms(t.Context(), false); err != nil || len(open) != 0 {
		t.Errorf("a closed room is listed as open: %v, %v", open, err)
	}
	if all, err := r.rooms.Rooms(t.Context(), true); err != nil || len(all) != 1 || all[0].ClosedAt.IsZero() {
		t.Errorf("a closed room is not listed: %v, %v", all, err)
	}
}

// TestContractsAreVersioned: caps come down at once, what is spent stays, and the newest
// version binds.
func TestContractsAreVersioned(t *testing.T) {
	t.Parallel()
	r := newRoomTest(t, "retailer")
	ref := cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"}
	r.open(t, "campaign", ref)
	ledger := NewRoomLedger(r.db, r.log, RoomLedgerConfig{})
	if found, err := r.rooms.ContractsOf(t.Context(), "campaign"); err != nil || len(found) != 0 {
		t.Fatalf("contracts before there are any: %v, %v", found, err)
	}
	if _, err := r.rooms.AddContract(t.Context(), r.contract(t, ref, 2, 100, 50), roomEvent(audit.ContractSigned)); !errors.Is(err, privacy.ErrConflict) {
		t.Fatalf("began with version 2: %v", err)
	}
	first := r.contract(t, ref, 1, 100, 50)
	r.file(t, first)
	if _, err := r.rooms.AddContract(t.Context(), r.contract(t, ref, 1, 100, 50), roomEvent(audit.ContractSigned)); !errors.Is(err, privacy.ErrConflict) {
		t.Fatalf("version 1 twice: %v", err)
	}
	if _, err := ledger.Begin(t.Context(), charge("campaign", "brand", 1, 40, ref), roomEvent(audit.RoomCharged)); err != nil {
		t.Fatal(err)
	}
	r.file(t, r.contract(t, ref, 2, 60, 30)) // below what the consumer has spent
	left, err := ledger.Left(t.Context(), "brand", []cleanroom.DatasetRef{ref})
	if err != nil {
		t.Fatal(err)
	}
	want := []cleanroom.Left{{Dataset: ref, Cap: 60, Spent: 40, ConsumerCap: 30, Consumed: 40}}
	if diff := cmp.Diff(want, left); diff != "" || left[0].Rho() != 0 {
		t.Errorf("after the caps came down (-want +got):\n%s", diff)
	}
	if _, err := ledger.Begin(t.Context(), charge("campaign", "brand", 2, 1, ref), roomEvent(audit.RoomCharged)); !errors.Is(err, cleanroom.ErrExhausted) {
		t.Errorf("charged beyond a cap that came down: %v", err)
	}
	if _, err := ledger.Begin(t.Context(), charge("campaign", "agency", 3, 20, ref), roomEvent(audit.RoomCharged)); err != nil {
		t.Errorf("somebody else could not spend what is left: %v", err)
	}
	third := r.contract(t, ref, 3, 100, 90)
	third.RaisedBecause = "the campaign goes on"
	r.file(t, third)
	found, err := r.rooms.ContractsOf(t.Context(), "campaign")
	if err != nil || len(found) != 1 || found[0].Contract.Version != 3 || found[0].Digest != third.Digest {
		t.Fatalf("the newest contract does not bind: %v, %v", found, err)
	}
	versions, err := r.rooms.Contracts(t.Context(), ref)
	if err != nil || len(versions) != 3 || versions[0].RaisedBecause != "the campaign goes on" || !bytes.Equal(versions[2].Note, first.Note) {
		t.Fatalf("versions %v, %v", versions, err)
	}
	if _, err := ledger.Begin(t.Context(), charge("campaign", "brand", 4, 41, ref), roomEvent(audit.RoomCharged)); !errors.Is(err, cleanroom.ErrExhausted) {
		t.Errorf("raising a cap gave back what was spent: %v", err)
	}
	if _, err := r.rooms.RemoveParty(t.Context(), "retailer", roomEvent(audit.PartyRemoved)); err != nil {
		t.Fatal(err)
	}
	if found, err := r.rooms.ContractsOf(t.Context(), "campaign"); err != nil || len(found) != 0 {
		t.Errorf("the contract of a party that was removed binds: %v, %v", found, err)
	}
	// Nor does it when the party is back: the key that had signed it was taken back.
	r.addParty(t, "retailer", 77)
	if found, err := r.rooms.ContractsOf(t.Context(), "campaign"); err != nil || len(found) != 0 {
		t.Errorf("what a key has signed that was taken back binds: %v, %v", found, err)
	}
	if found, err := r.rooms.ContractsInForce(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("what a key has signed that was taken back is in force: %v, %v", found, err)
	}
	r.file(t, r.contract(t, ref, 4, 100, 90))
	if found, err := r.rooms.ContractsOf(t.Context(), "campaign"); err != nil || len(found) != 1 {
		t.Errorf("what the new key has signed does not bind: %v, %v", found, err)
	}
}

// TestContractThatWasChangedInTheTableIsRefused: whoever can write tables cannot write
// contracts.
func TestContractThatWasChangedInTheTableIsRefused(t *testing.T) {
	t.Parallel()
	r := newRoomTest(t, "retailer")
	ref := cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"}
	r.open(t, "campaign", ref)
	r.file(t, r.contract(t, ref, 1, 100, 50))
	if _, err := r.database.OwnerPool(t).Exec(t.Context(), `
		update cleanroom.contract set note = replace(encode(note, 'escape'), '"minimum_people":50', '"minimum_people":10')::bytea`); err != nil {
		t.Fatal(err)
	}
	if found, err := r.rooms.ContractsOf(t.Context(), "campaign"); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("got %v, %v", found, err)
	}
}

func TestTemplatesCollectSignatures(t *testing.T) {
	t.Parallel()
	r := newRoomTest(t, "brand", "retailer")
	r.open(t, "campaign", cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"})
	template := &cleanroom.Template{Name: "reach", Version: 1, Query: cleanroom.Query{
		Room: "campaign", From: []cleanroom.From{{Dataset: "retailer.purchases", As: "p"}}, GroupBy: []string{"p.region"},
		Metrics: []cleanroom.Metric{{Function: cleanroom.People, As: "reach"}}, Privacy: cleanroom.Privacy{NoisePeople: 20, MaxGroupsPerPerson: 1},
		Purpose: "campaign_measurement",
	}}
	add := func(template *cleanroom.Template, by ...cleanroom.PartyID) error {
		signed, err := cleanroom.SignTemplate(template, r.signers[by[0]])
		if err != nil {
			t.Fatal(err)
		}
		for _, party := range by[1:] {
			if signed, err = cleanroom.CosignTemplate(signed, r.signers[party]); err != nil {
				t.Fatal(err)
			}
		}
		var verifiers []note.Verifier
		for party, key := range r.keys {
			verifier, err := cleanroom.ParseVerifier(key, party)
			if err != nil {
				t.Fatal(err)
			}
			verifiers = append(verifiers, verifier)
		}
		opened, err := cleanroom.OpenTemplate(signed, verifiers)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.rooms.AddTemplate(t.Context(), "campaign", opened, r.keys, roomEvent(audit.TemplateSigned))
		return err
	}
	signers := func() []cleanroom.PartyID {
		found, err := r.rooms.Template(t.Context(), "campaign", "reach", 1)
		if err != nil {
			t.Fatal(err)
		}
		return found.Signers
	}
	if err := add(template, "brand"); err != nil {
		t.Fatal(err)
	}
	if got := signers(); len(got) != 1 || got[0] != "brand" {
		t.Fatalf("signed by %v", got)
	}
	if err := add(template, "retailer", "brand"); err != nil {
		t.Fatal(err)
	}
	if got := signers(); len(got) != 2 {
		t.Fatalf("signed by %v", got)
	}
	other := *template
	other.Query.GroupBy = nil
	if err := add(&other, "brand"); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("another text of the same version: %v", err)
	}
	if _, err := r.rooms.RemoveParty(t.Context(), "brand", roomEvent(audit.PartyRemoved)); err != nil {
		t.Fatal(err)
	}
	if got := signers(); len(got) != 1 || got[0] != "retailer" {
		t.Errorf("the signature of a party that was removed counts: %v", got)
	}
	// With a new key it signs another version: a signature that would not count is refused.
	r.addParty(t, "brand", 77)
	if err := add(template, "brand"); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("signed again with another key: %v, and signers are %v", err, signers())
	}
	if all, err := r.rooms.Templates(t.Context(), "campaign"); err != nil || len(all) != 1 {
		t.Errorf("listed %v, %v", all, err)
	}
	if _, err := r.rooms.Template(t.Context(), "campaign", "reach", 2); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("found a version that is not there: %v", err)
	}
}

// charge is that of a question with a number.
func charge(room cleanroom.RoomID, consumer cleanroom.PartyID, question int, cost cleanroom.Rho, datasets ...cleanroom.DatasetRef) cleanroom.Charge {
	return cleanroom.Charge{
		Room: room, Consumer: consumer, Question: sha256.Sum256(fmt.Appendf(nil, "question %d", question)), Datasets: datasets, Cost: cost,
	}
}
