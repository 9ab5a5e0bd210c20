package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

const measurement privacy.Purpose = "campaign_measurement"

// testSeats seats people without a key.
var testSeats = RoomPeople{
	Seat: func(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error) {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(person[:], uint64(snapshot)))
		return [16]byte(sum[:16]), nil
	},
	Binds: func(said, room privacy.Purpose) bool { return said == "marketing" && room == measurement },
}

// seatedRoom has people in a snapshot that is being loaded, one that is staged and one that
// is matched.
type seatedRoom struct {
	*erasing
	owner     *pgxpool.Pool
	snapshots []int64 // loading, staged, matched
}

// A snapshot in each state, each of an epoch of its own, with the partitions that it needs.
func newSeatedRoom(t testing.TB) *seatedRoom {
	t.Helper()
	room := &seatedRoom{erasing: newErasing(t, dsar.EraseConfig{})}
	room.db.FindInRooms(testSeats)
	room.owner = room.database.OwnerPool(t)
	var first int64
	if err := room.owner.QueryRow(t.Context(), roomSnapshot+`select snapshot_id from snapshot`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	room.snapshots = []int64{first}
	for _, state := range []string{"staged", "matched"} {
		var id int64
		if err := room.owner.QueryRow(t.Context(), `
			insert into cleanroom.snapshot (room_id, owner, dataset, contract_version, manifest_digest, epoch, state, members, rows, begun_at)
			select room_id, owner, dataset, contract_version, manifest_digest, epoch, 'dropped', 0, 0, begun_at from cleanroom.snapshot limit 0
			returning snapshot_id`).Scan(&id); !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		if err := room.owner.QueryRow(t.Context(), `
			insert into cleanroom.snapshot (room_id, owner, dataset, contract_version, manifest_digest, epoch, state, members, rows, begun_at, admitted_at, matched_at)
			select room_id, owner, dataset, contract_version, manifest_digest, epoch, $1, 0, 0, begun_at, begun_at, case when $1 = 'matched' then begun_at end
			from cleanroom.snapshot limit 1
			returning snapshot_id`, state).Scan(&id); err != nil {
			t.Fatal(err)
		}
		room.snapshots = append(room.snapshots, id)
	}
	for i, id := range room.snapshots {
		tables := []string{"staged_member", "staged_row"}
		if i == 2 {
			tables = []string{"fact", "seat"}
		}
		for _, table := range tables {
			room.do(t, fmt.Sprintf(`create table cleanroom.%s_%d partition of cleanroom.%s for values in (%d)`, table, id, table, id))
		}
	}
	return room
}

func (room *seatedRoom) do(t testing.TB, sql string, arguments ...any) {
	t.Helper()
	if _, err := room.owner.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatal(err)
	}
}

// seat puts somebody into each snapshot, with two rows and one number that is theirs.
func (room *seatedRoom) seat(t testing.TB, id privacy.DataSubjectID, number int64) {
	t.Helper()
	for i, snapshot := range room.snapshots {
		seat, _ := testSeats.Seat(cleanroom.SnapshotID(snapshot), id)
		room.do(t, `insert into cleanroom.presence (data_subject_id, snapshot_id, purpose) values ($1, $2, $3)`, [16]byte(id), snapshot, string(measurement))
		if i == 2 {
			room.do(t, `insert into cleanroom.seat (snapshot_id, seat, match_id) values ($1, $2, $3)`, snapshot, seat[:], number)
			room.do(t, `insert into cleanroom.fact (snapshot_id, match_id, d1) values ($1, $2, 1), ($1, $2, 2)`, snapshot, number)
			continue
		}
		room.do(t, `insert into cleanroom.staged_member (snapshot_id, ordinal, token, seat) values ($1, $2, sha256($3), $3)`, snapshot, number, seat[:])
		room.do(t, `insert into cleanroom.staged_row (snapshot_id, ordinal, d1) values ($1, $2, 1), ($1, $2, 2)`, snapshot, number)
	}
}

// left are the rows that are there of somebody's.
func (room *seatedRoom) left(t testing.TB, id privacy.DataSubjectID, number int64) map[string]int {
	t.Helper()
	left := map[string]int{}
	for table, sql := range map[string]string{
		"presence":      `select count(*) from cleanroom.presence where data_subject_id = $1 and $2 <> 0`,
		"staged_member": `select count(*) from cleanroom.staged_member where ordinal = $2 and $1::uuid is not null`,
		"staged_row":    `select count(*) from cleanroom.staged_row where ordinal = $2 and $1::uuid is not null`,
		"seat":          `select count(*) from cleanroom.seat where match_id = $2 and $1::uuid is not null`,
		"fact":          `select count(*) from cleanroom.fact where match_id = $2 and $1::uuid is not null`,
	} {
		var n int
		if err := room.owner.QueryRow(t.Context(), sql, [16]byte(id), number).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			left[table] = n
		}
	}
	return left
}

var everywhere = map[string]int{"presence": 3, "staged_member": 2, "staged_row": 4, "seat": 1, "fact": 2}

func (room *seatedRoom) say(t testing.TB, r consent.Record) error {
	t.Helper()
	record, event := granted(r.DataSubject, byte(r.ID[0]))
	record.Purpose, record.Channel, record.Action, record.ID = r.Purpose, r.Channel, r.Action, r.ID
	if r.Action == consent.GuardianWithdrawn {
		record.Actor = consent.ByGuardian
	}
	event.Kind, event.Purpose, event.Channel = r.Action.Kind(), r.Purpose, r.Channel
	_, err := NewConsentStore(room.db, room.log).Add(t.Context(), record, event)
	return err
}

// TestLeavingRooms: a no takes somebody out of every room that it is about, wherever their
// rows have got to, and nobody else.
func TestLeavingRooms(t *testing.T) {
	t.Parallel()
	room := newSeatedRoom(t)
	stays, number := room.person(t, "stays"), int64(1000)
	room.seat(t, stays.id, number)
	for name, c := range map[string]struct {
		record consent.Record
		leaves bool
	}{
		"withdrawn":                  {consent.Record{Purpose: measurement, Channel: "*", Action: consent.Withdrawn}, true},
		"refused on one channel":     {consent.Record{Purpose: measurement, Channel: "email", Action: consent.Refused}, true},
		"objected":                   {consent.Record{Purpose: measurement, Channel: "*", Action: consent.Objected}, true},
		"expired":                    {consent.Record{Purpose: measurement, Channel: "*", Action: consent.Expired}, true},
		"a guardian withdrew":        {consent.Record{Purpose: measurement, Channel: "*", Action: consent.GuardianWithdrawn}, true},
		"objected to all marketing":  {consent.Record{Purpose: "marketing", Channel: "*", Action: consent.Objected}, true},
		"renewed":                    {consent.Record{Purpose: measurement, Channel: "*", Action: consent.Renewed}, false},
		"withdrew something else":    {consent.Record{Purpose: "newsletter", Channel: "*", Action: consent.Withdrawn}, false},
		"objected to something else": {consent.Record{Purpose: "newsletter", Channel: "*", Action: consent.Objected}, false},
		"marketing refused":          {consent.Record{Purpose: "marketing", Channel: "*", Action: consent.Refused}, false},
	} {
		p := room.person(t, strings.ReplaceAll(name, " ", "."))
		number++
		room.seat(t, p.id, number)
		if diff := cmp.Diff(everywhere, room.left(t, p.id, number)); diff != "" {
			t.Fatal(diff)
		}
		c.record.DataSubject, c.record.ID = p.id, [16]byte{byte(number), byte(number >> 8)}
		if err := room.say(t, c.record); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := map[string]int{}
		if !c.leaves {
			want = everywhere
		}
		if diff := cmp.Diff(want, room.left(t, p.id, number)); diff != "" {
			t.Errorf("%s: what is left (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(everywhere, room.left(t, stays.id, 1000)); diff != "" {
		t.Errorf("somebody who said nothing (-want +got):\n%s", diff)
	}
}

// TestLeavingIsPartOfTheChange: without the key of the rooms a no is not recorded either, and
// what fails later brings everything back.
func TestLeavingIsPartOfTheChange(t *testing.T) {
	t.Parallel()
	room := newSeatedRoom(t)
	p := room.person(t, "ayşe")
	room.seat(t, p.id, 7)
	no := consent.Record{DataSubject: p.id, ID: [16]byte{9}, Purpose: measurement, Channel: "*", Action: consent.Withdrawn}
	room.db.FindInRooms(RoomPeople{})
	before := countEntries(t, room.db)
	if err := room.say(t, no); !errors.Is(err, privacy.ErrUnavailable) || !strings.Contains(err.Error(), "mahrem room drop") {
		t.Errorf("without a key: %v", err)
	}
	room.db.FindInRooms(testSeats)
	broken := errors.New("broken")
	room.db.TellConsents(func(context.Context, pgx.Tx, []consent.Record) error { return broken })
	if err := room.say(t, no); !errors.Is(err, broken) {
		t.Errorf("with a hook that fails: %v", err)
	}
	if diff := cmp.Diff(everywhere, room.left(t, p.id, 7)); diff != "" {
		t.Errorf("after changes that failed (-want +got):\n%s", diff)
	}
	if after := countEntries(t, room.db); after != before {
		t.Errorf("%d entries, want %d", after, before)
	}
	room.db.TellConsents(nil)
	if err := room.say(t, no); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{}, room.left(t, p.id, 7)); diff != "" {
		t.Error(diff)
	}
}

// TestErasureLeavesRooms: whoever is erased leaves with the transaction that destroys their
// key, and nothing says any more that they were there.
func TestErasureLeavesRooms(t *testing.T) {
	t.Parallel()
	room := newSeatedRoom(t)
	p := room.person(t, "ayşe")
	room.seat(t, p.id, 7)
	room.do(t, `insert into cleanroom.stay (data_subject_id, room_id, owner, dataset, purpose, first_at, last_at)
		values ($1, 'campaign', 'retailer', 'purchases', 'campaign_measurement', now(), now())`, [16]byte(p.id))
	id := room.approved(t, p)
	room.db.FindInRooms(RoomPeople{})
	if _, err := room.Erase(t.Context(), dpo, id); !errors.Is(err, privacy.ErrUnavailable) {
		t.Fatalf("erasing without the key of the rooms: %v", err)
	}
	if room.ledger.count() != 0 {
		t.Error("an erasure that cannot happen stands in the ledger")
	}
	room.db.FindInRooms(testSeats)
	if _, err := room.Erase(t.Context(), dpo, id); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{}, room.left(t, p.id, 7)); diff != "" {
		t.Error(diff)
	}
	var stays int
	if err := room.owner.QueryRow(t.Context(), `select count(*) from cleanroom.stay`).Scan(&stays); err != nil || stays != 0 {
		t.Errorf("%d stays are left, %v", stays, err)
	}
}

// TestRestrictionLeavesRooms: the same for a restriction; and the database itself refuses one
// that forgets to.
func TestRestrictionLeavesRooms(t *testing.T) {
	t.Parallel()
	room := newSeatedRoom(t)
	p := room.person(t, "ayşe")
	room.seat(t, p.id, 7)
	if _, err := room.db.pool.Exec(t.Context(), sqlFulfilRestrict, [16]byte(p.id), true); err == nil {
		t.Error("somebody was restricted and stays in a room")
	}
	restrict := func() error {
		_, err := room.log.AppendTx(t.Context(), audit.Event{Kind: audit.PersonRestricted, Outcome: audit.Done, Principal: dpo},
			func(ctx context.Context, tx pgx.Tx) error { return restrictTx(ctx, tx, room.db, p.id, true) })
		return err
	}
	if err := restrict(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{}, room.left(t, p.id, 7)); diff != "" {
		t.Error(diff)
	}
	if err := restrict(); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestExportNamesRooms: an export reads where somebody was, and whether they are there now.
func TestExportNamesRooms(t *testing.T) {
	t.Parallel()
	room := newSeatedRoom(t)
	p, other := room.person(t, "ayşe"), room.person(t, "burak")
	room.seat(t, p.id, 7)
	room.do(t, `insert into cleanroom.stay (data_subject_id, room_id, owner, dataset, purpose, first_at, last_at)
		values ($1, 'campaign', 'retailer', 'purchases', 'campaign_measurement', '2026-05-01T00:00:00Z', '2026-06-01T00:00:00Z')`, [16]byte(p.id))
	room.do(t, `update cleanroom.snapshot set begun_at = '2026-04-30T23:00:00Z', admitted_at = '2026-05-01T01:00:00Z' where admitted_at is not null`)
	stays := func(id privacy.DataSubjectID) (list []export.Stay) {
		t.Helper()
		err := NewExportStore(NewVaultStore(room.db, room.vault), room.log).Read(t.Context(), id, func(r export.Reader) (err error) {
			list, err = r.Stays(t.Context())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	var in []cleanroom.SnapshotID
	for _, id := range room.snapshots {
		in = append(in, cleanroom.SnapshotID(id))
	}
	want := []export.Stay{{
		Snapshots: in, Room: "campaign", Dataset: cleanroom.DatasetRef{Owner: "retailer", Dataset: "purchases"}, Purpose: measurement,
		Members: []privacy.RecipientID{"retailer"}, Present: true,
		First: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), Last: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC),
	}}
	if diff := cmp.Diff(want, stays(p.id)); diff != "" {
		t.Errorf("while they are there (-want +got):\n%s", diff)
	}
	if err := room.say(t, consent.Record{DataSubject: p.id, ID: [16]byte{9}, Purpose: measurement, Channel: "*", Action: consent.Withdrawn}); err != nil {
		t.Fatal(err)
	}
	want[0].Present, want[0].Snapshots = false, nil
	if diff := cmp.Diff(want, stays(p.id)); diff != "" {
		t.Errorf("after a withdrawal (-want +got):\n%s", diff)
	}
	// Draws that came to nothing were no rooms: of one dataset before anything of it was admitted,
	// and of one after that. In pair mode the other party may have had the list.
	for _, at := range []string{"2026-04-29T00:00:00Z", "2026-05-02T00:00:00Z"} {
		room.do(t, `update cleanroom.stay set first_at = $1, last_at = $1`, at)
		if list := stays(p.id); len(list) != 0 {
			t.Errorf("drawn in vain at %s: %v", at, list)
		}
	}
	room.do(t, `update cleanroom.room set matching = 'pair'`)
	if list := stays(p.id); len(list) != 1 || list[0].Present {
		t.Errorf("drawn in vain in pair mode: %v", list)
	}
	if list := stays(other.id); len(list) != 0 {
		t.Errorf("somebody else was in %v", list)
	}
}
