package postgres

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/pgtest"
	"github.com/mahrem/mahrem/privacy"
)

// snapshotTest is a database with rooms, and a store that takes datasets into them.
type snapshotTest struct {
	db       *DB
	database *pgtest.Database
	owner    *pgxpool.Pool
	store    *SnapshotStore
	executor *RoomExecutor
}

var testDatasets = []cleanroom.DatasetRef{
	{Owner: "retailer", Dataset: "purchases"}, {Owner: "brand", Dataset: "segments"}, {Owner: "agency", Dataset: "contacts"},
}

func newSnapshotTest(t testing.TB, rooms ...cleanroom.RoomID) *snapshotTest {
	t.Helper()
	db, database := newDB(t)
	s := &snapshotTest{db: db, database: database, owner: database.OwnerPool(t)}
	s.store = NewSnapshotStore(db, newAuditLog(t, db, auditConfig()))
	s.executor = NewRoomExecutor(db, RoomExecutorConfig{Timeout: 10 * time.Minute})
	for _, d := range testDatasets {
		s.exec(t, `insert into cleanroom.party (party_id, verifier, added_at)
			values ($1, $1 || '+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', now())`, string(d.Owner))
		s.exec(t, `insert into cleanroom.contract (owner, dataset, version, note, verifier, digest, added_at)
			select $1, $2, 1, '\x00', verifier, sha256('note'), now() from cleanroom.party where party_id = $1`, string(d.Owner), string(d.Dataset))
	}
	for _, room := range rooms {
		s.exec(t, `insert into cleanroom.room (room_id, purpose, mode, matching, minimum_epoch_seconds, minimum_members, opened_at)
			values ($1, 'campaign_measurement', 'dp', 'operator', 0, 2, now())`, string(room))
		for _, d := range testDatasets {
			s.exec(t, `insert into cleanroom.room_member (room_id, party_id, roles) values ($1, $2, array['owns_data'])`, string(room), string(d.Owner))
			s.exec(t, `insert into cleanroom.room_dataset (room_id, owner, dataset) values ($1, $2, $3)`, string(room), string(d.Owner), string(d.Dataset))
		}
	}
	return s
}

func (s *snapshotTest) exec(t testing.TB, sql string, arguments ...any) {
	t.Helper()
	if _, err := s.owner.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatal(err)
	}
}

func (s *snapshotTest) count(t testing.TB, sql string, arguments ...any) (n int) {
	t.Helper()
	if err := s.owner.QueryRow(t.Context(), sql, arguments...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func snapshotEvent(kind audit.Kind) audit.Event {
	return audit.Event{Kind: kind, Outcome: audit.Done, Principal: privacy.Principal{ID: "anna", Role: privacy.RoleDPO}, Purpose: "campaign_measurement"}
}

// brought is what one person brings: who they are, and their rows.
type brought struct {
	person int
	rows   []cleanroom.StagedRow
}

func personToken(person int) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "person %d", person))
	return sum[:]
}

func personSeat(person int) []byte { return personToken(person)[:16] }

// begin sends a dataset without admitting it. Those of the first owner sit in seats.
func (s *snapshotTest) begin(t testing.TB, room cleanroom.RoomID, dataset int, people []brought) cleanroom.SnapshotID {
	t.Helper()
	a := cleanroom.Admission{Room: room, Dataset: testDatasets[dataset], Contract: 1, Identifier: privacy.Email, Manifest: sha256.Sum256(fmt.Appendf(nil, "%s %d", room, dataset))}
	var members []cleanroom.StagedMember
	var rows []cleanroom.StagedRow
	for i, p := range people {
		m := cleanroom.StagedMember{Ordinal: int64(i) * 7, Token: personToken(p.person)}
		if dataset == 0 {
			m.Seat = personSeat(p.person)
		}
		members = append(members, m)
		for _, r := range p.rows {
			r.Ordinal = m.Ordinal
			rows = append(rows, r)
		}
	}
	a.Members, a.Rows = int64(len(members)), int64(len(rows))
	id, err := s.store.Begin(t.Context(), a, snapshotEvent(audit.SnapshotDropped))
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(rows, 1000) {
		if err := s.takeRows(t, id, part...); err != nil {
			t.Fatal(err)
		}
	}
	for part := range slices.Chunk(members, 1000) {
		if err := s.takeMembers(t, id, part...); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

// takeRows brings the next chunk of rows, and takeMembers that of members.
func (s *snapshotTest) takeRows(t testing.TB, id cleanroom.SnapshotID, rows ...cleanroom.StagedRow) error {
	t.Helper()
	next := s.count(t, `select row_chunks from cleanroom.snapshot where snapshot_id = $1`, id)
	return s.store.TakeRows(t.Context(), id, next, rows)
}

func (s *snapshotTest) takeMembers(t testing.TB, id cleanroom.SnapshotID, members ...cleanroom.StagedMember) error {
	t.Helper()
	next := s.count(t, `select member_chunks from cleanroom.snapshot where snapshot_id = $1`, id)
	return s.store.TakeMembers(t.Context(), id, next, audit.Digest{}, members)
}

func (s *snapshotTest) stage(t testing.TB, room cleanroom.RoomID, dataset int, people []brought) cleanroom.SnapshotID {
	t.Helper()
	id := s.begin(t, room, dataset, people)
	if _, err := s.store.Admit(t.Context(), id, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Fatal(err)
	}
	return id
}

// judged are the staged snapshots of a room, all of which the policies let it match.
func (s *snapshotTest) judged(t testing.TB, room cleanroom.RoomID) []cleanroom.SnapshotID {
	t.Helper()
	snapshots, err := s.store.Snapshots(t.Context(), room)
	if err != nil {
		t.Fatal(err)
	}
	return cleanroom.Staged(snapshots)
}

func (s *snapshotTest) match(t testing.TB, room cleanroom.RoomID) *cleanroom.Matched {
	t.Helper()
	m, _, err := s.store.Match(t.Context(), room, s.judged(t, room), snapshotEvent(audit.RoomMatched))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// persons brings those from first to last, with one row each.
func persons(first, last int) (people []brought) {
	for i := first; i <= last; i++ {
		people = append(people, brought{i, []cleanroom.StagedRow{{Dimensions: []int32{int32(i % 3)}, Measures: []int64{int64(i)}}}})
	}
	return people
}

// everybody counts the people whom snapshots have in common.
func everybody(ids ...cleanroom.SnapshotID) *cleanroom.Plan {
	plan := &cleanroom.Plan{MaxGroups: 1}
	for _, id := range ids {
		plan.Sources = append(plan.Sources, cleanroom.PlanSource{Snapshot: id})
	}
	return plan
}

func (s *snapshotTest) people(t testing.TB, room cleanroom.RoomID, ids ...cleanroom.SnapshotID) int64 {
	t.Helper()
	groups, err := s.executor.Run(t.Context(), room, everybody(ids...))
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) == 0 {
		return 0
	}
	return groups[0].People
}
