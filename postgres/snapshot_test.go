package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// roomSnapshot is the beginning of a statement that makes a room with one dataset in it, and
// a snapshot of it that is being loaded.
const roomSnapshot = `
with party as (
	insert into cleanroom.party (party_id, verifier, added_at)
	values ('retailer', 'retailer+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', now()) returning party_id, verifier),
room as (
	insert into cleanroom.room (room_id, purpose, mode, matching, minimum_epoch_seconds, minimum_members, opened_at)
	values ('campaign', 'campaign_measurement', 'dp', 'operator', 0, 2, now()) returning room_id),
member as (
	insert into cleanroom.room_member (room_id, party_id, roles)
	select room_id, party_id, array['owns_data'] from room, party returning room_id, party_id),
dataset as (
	insert into cleanroom.room_dataset (room_id, owner, dataset)
	select room_id, party_id, 'purchases' from member returning room_id, owner, dataset),
contract as (
	insert into cleanroom.contract (owner, dataset, version, note, verifier, digest, added_at)
	select owner, dataset, 1, '\x00', verifier, sha256('note'), now() from dataset, party returning version),
snapshot as (
	insert into cleanroom.snapshot (room_id, owner, dataset, contract_version, manifest_digest, epoch, state, members, rows, begun_at)
	select room_id, owner, dataset, version, sha256('manifest'), 1, 'loading', 0, 0, now() from dataset, contract returning snapshot_id)
`

// TestMatch: the same person has the same number in every dataset, nobody else has, and what
// people were matched by is gone.
func TestMatch(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign", "other")
	a, b := s.stage(t, "campaign", 0, persons(1, 60)), s.stage(t, "campaign", 1, persons(41, 100))
	m := s.match(t, "campaign")
	if m.Epoch != 1 || len(m.Snapshots) != 2 || m.Snapshots[0].ID != b || m.Snapshots[1].ID != a || len(m.Dropped) != 0 {
		t.Errorf("got %+v", m)
	}
	if n := s.people(t, "campaign", a, b); n != 20 {
		t.Errorf("%d people are in both, want 20", n)
	}
	// m1 says who it is.
	if n := s.count(t, `select count(*) from cleanroom.fact f join cleanroom.fact g using (match_id)
		where f.snapshot_id = $1 and g.snapshot_id = $2 and f.m1 = g.m1`, a, b); n != 20 {
		t.Errorf("%d people were matched with themselves, want 20", n)
	}
	if n := s.count(t, `select count(distinct match_id) from cleanroom.fact`); n != 100 {
		t.Errorf("%d numbers were given, want 100", n)
	}
	if n := s.count(t, `select count(*) from cleanroom.fact where match_id = m1`); n > 20 {
		t.Errorf("%d numbers are those by which people came", n)
	}
	if n := s.count(t, `select (select count(*) from cleanroom.staged_member) + (select count(*) from cleanroom.staged_row)
		+ (select count(*) from pg_class where relname like 'staged%\_1' or relname like 'staged%\_2')`); n != 0 {
		t.Errorf("%d things are left of what was staged", n)
	}
	if _, _, err := s.store.Match(t.Context(), "campaign", s.judged(t, "campaign"), snapshotEvent(audit.RoomMatched)); !errors.Is(err, cleanroom.ErrNothingStaged) {
		t.Errorf("matching nothing: %v", err)
	}
	// The next epoch takes the place of this one.
	c := s.stage(t, "campaign", 1, persons(1, 10))
	s.exec(t, `update cleanroom.room set minimum_epoch_seconds = 3600`)
	if _, _, err := s.store.Match(t.Context(), "campaign", s.judged(t, "campaign"), snapshotEvent(audit.RoomMatched)); !errors.Is(err, cleanroom.ErrTooEarly) {
		t.Errorf("matching again within the hour: %v", err)
	}
	s.exec(t, `update cleanroom.room set matched_at = matched_at - interval '1 hour'`)
	m = s.match(t, "campaign")
	if m.Epoch != 2 || !slices.Equal(m.Dropped, []cleanroom.SnapshotID{a, b}) {
		t.Errorf("got %+v", m)
	}
	if _, err := s.executor.Run(t.Context(), "campaign", everybody(a)); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("asking the epoch that is over: %v", err)
	}
	if n := s.people(t, "campaign", c); n != 10 {
		t.Errorf("%d people, want 10", n)
	}
	if n := s.count(t, `select count(*) from cleanroom.fact where snapshot_id <> $1`, c); n != 0 {
		t.Errorf("%d facts are left of the epoch before", n)
	}
	list, err := s.store.Snapshots(t.Context(), "campaign")
	if err != nil || len(list) != 3 || list[0].State != cleanroom.SnapshotDropped || list[2].State != cleanroom.SnapshotMatched || list[0].DroppedAt.IsZero() {
		t.Errorf("got %+v, %v", list, err)
	}
	if n := s.count(t, `select count(*) from audit.entry`); n != 3+2+2 {
		t.Errorf("%d entries, want one each for admissions, matches and what was dropped", n)
	}
}

// TestAdmitRefuses what is not as declared, and leaves nothing behind.
func TestAdmitRefuses(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	twice := append(persons(1, 5), persons(5, 5)...)
	for name, test := range map[string]struct {
		people []brought
		tamper func(id cleanroom.SnapshotID) error
		want   error
	}{
		"somebody twice": {people: twice, want: cleanroom.ErrDuplicates},
		"too few":        {people: persons(1, 1), want: cleanroom.ErrTooFew},
		"a row of nobody": {people: persons(1, 5), want: cleanroom.ErrSizes, tamper: func(id cleanroom.SnapshotID) error {
			return s.takeRows(t, id, cleanroom.StagedRow{Ordinal: 999})
		}},
		"more members": {people: persons(1, 5), want: cleanroom.ErrSizes, tamper: func(id cleanroom.SnapshotID) error {
			return s.takeMembers(t, id, cleanroom.StagedMember{Ordinal: 999, Token: personToken(999)})
		}},
		"a member without rows": {people: append(persons(1, 5), brought{person: 6}), want: cleanroom.ErrSizes},
		"a row elsewhere": {people: persons(1, 5), want: cleanroom.ErrSizes, tamper: func(id cleanroom.SnapshotID) error {
			_, err := s.owner.Exec(t.Context(), `update cleanroom.staged_row set ordinal = 999 where snapshot_id = $1 and ordinal = 0`, id)
			return err
		}},
	} {
		id := s.begin(t, "campaign", 1, test.people)
		if test.tamper != nil {
			if err := test.tamper(id); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if _, err := s.store.Admit(t.Context(), id, snapshotEvent(audit.SnapshotAdmitted)); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if err := s.store.Abandon(t.Context(), id, snapshotEvent(audit.SnapshotDropped)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := s.count(t, `select count(*) from pg_class where relname ~ '^staged_(member|row)_[0-9]+$'`); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	id := s.begin(t, "campaign", 1, persons(1, 5))
	if err := s.takeMembers(t, id, cleanroom.StagedMember{Ordinal: 0, Token: personToken(77)}); !errors.Is(err, cleanroom.ErrDuplicates) {
		t.Errorf("an ordinal twice: %v", err)
	}
	if err := s.takeRows(t, id, cleanroom.StagedRow{Measures: []int64{cleanroom.LargestMeasure + 1}}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a measure beyond all bounds: %v", err)
	}
	if err := s.takeRows(t, id, cleanroom.StagedRow{Dimensions: make([]int32, 9)}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("nine dimensions: %v", err)
	}
}

// TestReplaceOnce: what is staged may be replaced once before the match, and nothing can be
// added to it any more.
func TestReplaceOnce(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	first := s.stage(t, "campaign", 1, persons(1, 5))
	if err := s.takeMembers(t, first, cleanroom.StagedMember{Ordinal: 999, Token: personToken(999)}); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("adding to what is staged: %v", err)
	}
	if err := s.store.Abandon(t.Context(), first, snapshotEvent(audit.SnapshotDropped)); err != nil {
		t.Fatal(err)
	}
	second := s.stage(t, "campaign", 1, persons(1, 6))
	third := s.begin(t, "campaign", 1, persons(1, 7))
	if _, err := s.store.Admit(t.Context(), third, snapshotEvent(audit.SnapshotAdmitted)); !errors.Is(err, cleanroom.ErrReplaced) {
		t.Errorf("replacing twice: %v", err)
	}
	s.match(t, "campaign")
	if n := s.people(t, "campaign", second); n != 6 {
		t.Errorf("%d people, want 6", n)
	}
	// It was for the match that is over.
	if _, err := s.store.Admit(t.Context(), third, snapshotEvent(audit.SnapshotAdmitted)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("admitting too late: %v", err)
	}
	// A new attempt takes the place of one that got stuck.
	fourth := s.begin(t, "campaign", 1, persons(1, 8))
	if n := s.count(t, `select count(*) from cleanroom.snapshot where snapshot_id = $1 and state = 'dropped'`, third); n != 1 {
		t.Error("what was stuck is still there")
	}
	found, err := s.store.Delivered(t.Context(), "campaign", sha256.Sum256([]byte("campaign 1")))
	if err != nil || found.ID != fourth || found.Members != 8 {
		t.Errorf("got %+v, %v", found, err)
	}
	if n, err := s.store.Sweep(t.Context(), time.Hour); n != 0 || err != nil {
		t.Errorf("swept %d, %v, want none", n, err)
	}
	s.exec(t, `update cleanroom.snapshot set begun_at = begun_at - interval '1 hour', heard_at = heard_at - interval '1 hour' where state = 'loading'`)
	if n, err := s.store.Sweep(t.Context(), time.Hour); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want one", n, err)
	}
	if found, err := s.store.Delivered(t.Context(), "campaign", sha256.Sum256([]byte("campaign 1"))); err != nil || found.ID != second {
		t.Errorf("what was swept is found, and not what was matched before: %+v, %v", found, err)
	}
}

// whenRead calls f when the first byte is read.
type whenRead struct {
	f    func()
	from io.Reader
}

func (w *whenRead) Read(p []byte) (int, error) {
	if w.f != nil {
		w.f()
		w.f = nil
	}
	return w.from.Read(p)
}

// TestLeave takes somebody out of a room before, during and after the match.
func TestLeave(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	s.exec(t, `insert into vault.data_subject (data_subject_id, jurisdiction) select gen_random_uuid(), 'CZ' from generate_series(1, 3)`)
	a, b := s.stage(t, "campaign", 0, persons(1, 60)), s.stage(t, "campaign", 1, persons(41, 100))
	s.exec(t, `insert into cleanroom.presence (data_subject_id, snapshot_id, purpose)
		select data_subject_id, $1, 'campaign_measurement' from vault.data_subject`, a)
	leave := func(person int) {
		t.Helper()
		if _, err := s.db.pool.Exec(t.Context(), `select cleanroom.leave(
			(select data_subject_id from cleanroom.presence order by data_subject_id limit 1), array[$1::bigint, $2], array[$3::bytea, $3])`,
			a, b, personSeat(person)); err != nil {
			t.Error(err)
		}
	}
	leave(50)
	if n := s.count(t, `select count(*) from cleanroom.staged_row where m1 = 50`); n != 1 {
		t.Errorf("%d rows are staged of somebody who left the house and not the brand", n)
	}
	s.store.random = &whenRead{func() { leave(51); leave(1000) }, rand.NewChaCha8([32]byte{1})}
	s.match(t, "campaign")
	leave(52)
	leave(52)
	if n := s.count(t, `select count(*) from cleanroom.fact where snapshot_id = $1 and m1 in (50, 51, 52)`, a); n != 0 {
		t.Errorf("%d facts are left of those who left", n)
	}
	if n := s.count(t, `select count(*) from cleanroom.seat`); n != 57 {
		t.Errorf("%d sit in seats, want 57", n)
	}
	if n := s.count(t, `select count(*) from cleanroom.presence`); n != 0 {
		t.Errorf("%d are present who left", n)
	}
	if n := s.people(t, "campaign", a, b); n != 17 {
		t.Errorf("%d people are in both, want 17", n)
	}
	if n := s.people(t, "campaign", b); n != 60 {
		t.Errorf("%d people are the brand's, want 60: its own are its own", n)
	}
}

// TestLeaveWhileSettling has somebody leave between any two of the statements that make facts
// of staged rows: there is a lock that the match waits for in the midst of them.
func TestLeaveWhileSettling(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"seat", "fact"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := newSnapshotTest(t, "campaign")
			a := s.stage(t, "campaign", 0, persons(1, 60))
			tx, err := s.owner.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
			if _, err := tx.Exec(t.Context(), `lock table only cleanroom.`+table+` in access exclusive mode`); err != nil {
				t.Fatal(err)
			}
			done, judged := make(chan error, 1), s.judged(t, "campaign")
			go func() {
				_, _, err := s.store.Match(t.Context(), "campaign", judged, snapshotEvent(audit.RoomMatched))
				done <- err
			}()
			for s.count(t, `select count(*) from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock' and query like '%cleanroom.settle%'`) == 0 {
				select {
				case err := <-done:
					t.Fatalf("the match did not wait: %v", err)
				case <-time.After(10 * time.Millisecond):
				}
			}
			if _, err := tx.Exec(t.Context(), `select cleanroom.leave(gen_random_uuid(), array[$1::bigint], array[$2::bytea])`, a, personSeat(50)); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if n := s.count(t, `select count(*) from cleanroom.fact where m1 = 50`); n != 0 {
				t.Errorf("%d facts are left of somebody who left", n)
			}
			if n := s.people(t, "campaign", a); n != 59 {
				t.Errorf("%d people are counted, want 59", n)
			}
		})
	}
}

// TestStagedOrderTellsNothing: the house's people are stored some at a time, together with that
// they are present. Once they are staged, the one is not in the order of the other.
func TestStagedOrderTellsNothing(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	s.exec(t, `insert into vault.data_subject (data_subject_id, jurisdiction) values (gen_random_uuid(), 'CZ')`)
	a := s.begin(t, "campaign", 0, persons(1, 60))
	s.exec(t, `insert into cleanroom.presence (data_subject_id, snapshot_id, purpose)
		select data_subject_id, $1, 'campaign_measurement' from vault.data_subject`, a)
	if _, err := s.store.Admit(t.Context(), a, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Fatal(err)
	}
	for table, sql := range map[string]string{
		"members": `select count(*) from (select token < lag(token) over (order by ctid) as back from cleanroom.staged_member) m where back`,
		"rows":    `select count(*) from (select m.ordinal < lag(m.ordinal) over (order by m.ctid) as back from cleanroom.staged_row m) r where back`,
	} {
		if n := s.count(t, sql); n != 0 {
			t.Errorf("%s lie in the order in which they came", table)
		}
	}
}

// TestDrop takes everything of a snapshot off the disk.
func TestDrop(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	a := s.stage(t, "campaign", 0, persons(1, 60))
	s.match(t, "campaign")
	if _, err := s.store.Drop(t.Context(), a, snapshotEvent(audit.SnapshotDropped)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Drop(t.Context(), a, snapshotEvent(audit.SnapshotDropped)); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("dropping twice: %v", err)
	}
	if _, err := s.store.Drop(t.Context(), a+1, snapshotEvent(audit.SnapshotDropped)); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("dropping nothing: %v", err)
	}
	if n := s.count(t, `select count(*) from pg_class where relname ~ '^(fact|seat|staged_row|staged_member)_[0-9]+$'`); n != 0 {
		t.Errorf("%d tables and views are left", n)
	}
	if _, err := s.executor.Run(t.Context(), "campaign", everybody(a)); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("asking what was dropped: %v", err)
	}
}
