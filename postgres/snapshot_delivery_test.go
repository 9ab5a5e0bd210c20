package postgres

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// beginDelivery begins what a party brings in chunks.
func (s *snapshotTest) beginDelivery(t testing.TB, members, rows int64) cleanroom.SnapshotID {
	t.Helper()
	id, err := s.store.Begin(t.Context(), cleanroom.Admission{
		Room: "campaign", Dataset: testDatasets[1], Contract: 1, Manifest: sha256.Sum256([]byte("delivery")),
		Identifier: privacy.Email, Members: members, Rows: rows,
	}, snapshotEvent(audit.SnapshotDropped))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func chunkOf(first, last int) (members []cleanroom.StagedMember, rows []cleanroom.StagedRow) {
	for i := first; i <= last; i++ {
		members = append(members, cleanroom.StagedMember{Ordinal: int64(i), Token: personToken(i)})
		rows = append(rows, cleanroom.StagedRow{Ordinal: int64(i), Dimensions: []int32{1}, Measures: []int64{int64(i)}})
	}
	return members, rows
}

// TestDeliveryByChunks: a chunk and that it is there are stored together, and one that is not
// the next is refused with nothing of it stored.
func TestDeliveryByChunks(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	id := s.beginDelivery(t, 6, 6)
	ctx, none := t.Context(), audit.Digest{}
	first, rows := chunkOf(0, 2)
	second, more := chunkOf(3, 5)
	moved := func(err error) bool { return errors.Is(err, cleanroom.ErrMoved) && errors.Is(err, privacy.ErrConflict) }
	if err := s.store.TakeMembers(ctx, id, 1, none, second); !moved(err) {
		t.Errorf("a chunk is left out: %v", err)
	}
	if err := s.store.TakeMembers(ctx, id, 0, none, first); err != nil {
		t.Fatal(err)
	}
	if err := s.store.TakeMembers(ctx, id, 0, none, first); !moved(err) {
		t.Errorf("a chunk twice: %v", err)
	}
	if err := s.store.TakeMembers(ctx, id, 1, sha256.Sum256([]byte("statement")), second); !moved(err) {
		t.Errorf("a chunk of another list: %v", err)
	}
	// What is refused is not counted.
	if err := s.store.TakeMembers(ctx, id, 1, none, first); !errors.Is(err, cleanroom.ErrDuplicates) {
		t.Errorf("somebody twice: %v", err)
	}
	if err := s.store.TakeRows(ctx, id, 0, []cleanroom.StagedRow{{Measures: []int64{cleanroom.LargestMeasure + 1}}}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a measure beyond all bounds: %v", err)
	}
	if err := errors.Join(s.store.TakeMembers(ctx, id, 1, none, second), s.store.TakeRows(ctx, id, 0, rows)); err != nil {
		t.Fatal(err)
	}
	manifest := audit.Digest(sha256.Sum256([]byte("delivery")))
	at, err := s.store.Delivered(ctx, "campaign", manifest)
	if err != nil || at.ID != id || at.MemberChunks != 2 || at.RowChunks != 1 || at.State != cleanroom.SnapshotLoading || !at.HeardAt.After(at.BegunAt) {
		t.Errorf("stands at %+v, %v", at, err)
	}
	if n := s.count(t, `select count(*) from cleanroom.staged_member`) + s.count(t, `select count(*) from cleanroom.staged_row`); n != 9 {
		t.Errorf("%d members and rows, want 9", n)
	}
	// Half of it is no dataset.
	if _, err := s.store.Admit(ctx, id, snapshotEvent(audit.SnapshotAdmitted)); !errors.Is(err, cleanroom.ErrSizes) {
		t.Errorf("admitting a half: %v", err)
	}
	if _, _, err := s.store.Match(ctx, "campaign", s.judged(t, "campaign"), snapshotEvent(audit.RoomMatched)); !errors.Is(err, cleanroom.ErrNothingStaged) {
		t.Errorf("matching a half: %v", err)
	}
	if err := s.store.TakeRows(ctx, id, 1, more); err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Admit(ctx, id, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Fatal(err)
	}
	if err := s.store.TakeRows(ctx, id, 2, rows); !moved(err) {
		t.Errorf("a chunk after all: %v", err)
	}
	if at, err := s.store.Delivered(ctx, "campaign", manifest); err != nil || at.State != cleanroom.SnapshotStaged {
		t.Errorf("after all: %+v, %v", at, err)
	}
	if err := s.store.BeginMembers(ctx, id, sha256.Sum256([]byte("statement"))); err == nil || s.count(t, `select count(*) from cleanroom.staged_member`) != 6 {
		t.Errorf("a list that was admitted begins anew: %v", err)
	}
	if n := s.count(t, `select count(*) from audit.entry`); n != 1 {
		t.Errorf("%d entries, want one", n)
	}
}

// TestBeginMembers: another list of the same people takes the place of the one before, and the
// rows stay. Those whom the house has drawn stay, too, and are given other tokens.
func TestBeginMembers(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	id := s.beginDelivery(t, 3, 3)
	ctx := t.Context()
	members, rows := chunkOf(0, 2)
	if err := s.store.TakeRows(ctx, id, 0, rows); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []audit.Digest{{1}, {2}} {
		if err := errors.Join(s.store.BeginMembers(ctx, id, statement), s.store.TakeMembers(ctx, id, 0, statement, members)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.store.TakeMembers(ctx, id, 1, audit.Digest{1}, members); !errors.Is(err, cleanroom.ErrMoved) {
		t.Errorf("the first list goes on: %v", err)
	}
	at, err := s.store.Delivered(ctx, "campaign", sha256.Sum256([]byte("delivery")))
	if err != nil || at.Remasked != (audit.Digest{2}) || at.MemberChunks != 1 || at.RowChunks != 1 {
		t.Errorf("stands at %+v, %v", at, err)
	}
	if _, err := s.store.Admit(ctx, id, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Error(err)
	}
	house := s.begin(t, "campaign", 0, persons(1, 5))
	if _, err := s.store.Place(ctx, house); err != nil {
		t.Fatal(err)
	}
	tokens := [][]byte{personToken(11), personToken(12), personToken(13), personToken(14), personToken(15)}
	if err := errors.Join(s.store.BeginMembers(ctx, house, audit.Digest{1}), s.store.TakeTokens(ctx, house, 0, audit.Digest{1}, 0, tokens[:3])); err != nil {
		t.Fatal(err)
	}
	if err := s.store.TakeTokens(ctx, house, 0, audit.Digest{1}, 0, tokens); !errors.Is(err, cleanroom.ErrMoved) {
		t.Errorf("a chunk twice: %v", err)
	}
	if err := s.store.TakeTokens(ctx, house, 1, audit.Digest{1}, 3, tokens[3:]); err != nil {
		t.Fatal(err)
	}
	if err := s.store.BeginMembers(ctx, house, audit.Digest{2}); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, `select count(*) from cleanroom.staged_member where snapshot_id = $1 and seat is not null and token = any ($2)`, house, tokens); n != 5 {
		t.Errorf("%d people of the house, want 5", n)
	}
	if err := s.store.BeginMembers(ctx, 999, audit.Digest{1}); err == nil {
		t.Error("a list of nothing begins")
	}
}

// TestTwoLinesBringOneDelivery: each chunk is taken from one of them.
func TestTwoLinesBringOneDelivery(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	const chunks, lines = 20, 4
	id := s.beginDelivery(t, 3*chunks, 3*chunks)
	var taken, late atomic.Int64
	var wg sync.WaitGroup
	for range lines {
		wg.Go(func() {
			for i := range chunks {
				members, rows := chunkOf(3*i, 3*i+2)
				for _, err := range []error{s.store.TakeMembers(t.Context(), id, i, audit.Digest{}, members), s.store.TakeRows(t.Context(), id, i, rows)} {
					switch {
					case err == nil:
						taken.Add(1)
					case errors.Is(err, cleanroom.ErrMoved):
						late.Add(1)
					default:
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if taken.Load()+late.Load() != 2*lines*chunks {
		t.Errorf("%d were taken and %d too late", taken.Load(), late.Load())
	}
	// All of them or, if lines overtook each other, the first ones: never one twice, never a hole.
	at, err := s.store.Delivered(t.Context(), "campaign", sha256.Sum256([]byte("delivery")))
	if err != nil || int64(at.MemberChunks+at.RowChunks) != taken.Load() {
		t.Fatalf("stands at %+v, %v, and %d were taken", at, err, taken.Load())
	}
	if n := s.count(t, `select count(*) from cleanroom.staged_row where ordinal < $1`, 3*at.RowChunks); n != 3*at.RowChunks {
		t.Errorf("%d rows in %d chunks", n, at.RowChunks)
	}
	if n := s.count(t, `select count(*) from cleanroom.staged_member`); n != 3*at.MemberChunks {
		t.Errorf("%d members in %d chunks", n, at.MemberChunks)
	}
	for i := at.MemberChunks; i < chunks; i++ {
		members, _ := chunkOf(3*i, 3*i+2)
		if err := s.store.TakeMembers(t.Context(), id, i, audit.Digest{}, members); err != nil {
			t.Fatal(err)
		}
	}
	for i := at.RowChunks; i < chunks; i++ {
		_, rows := chunkOf(3*i, 3*i+2)
		if err := s.store.TakeRows(t.Context(), id, i, rows); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.store.Admit(t.Context(), id, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Error(err)
	}
}

// TestSweepDeliveries forgets what nothing more comes of, and what is too late for its match.
func TestSweepDeliveries(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	id := s.beginDelivery(t, 3, 3)
	members, _ := chunkOf(0, 2)
	s.exec(t, `update cleanroom.snapshot set begun_at = begun_at - interval '30 days'`)
	if err := s.store.TakeMembers(t.Context(), id, 0, audit.Digest{}, members); err != nil {
		t.Fatal(err)
	}
	// It began long ago, and still goes on.
	if n, err := s.store.Sweep(t.Context(), cleanroom.DeliveryKept); n != 0 || err != nil {
		t.Errorf("swept %d, %v", n, err)
	}
	s.exec(t, `update cleanroom.snapshot set heard_at = heard_at - interval '7 days 1 second'`)
	if n, err := s.store.Sweep(t.Context(), cleanroom.DeliveryKept); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want one", n, err)
	}
	if n := s.count(t, `select count(*) from pg_class where relname ~ '^staged_(member|row)_[0-9]+$'`); n != 0 {
		t.Errorf("%d tables are left", n)
	}
	if err := s.store.TakeRows(t.Context(), id, 0, nil); !errors.Is(err, cleanroom.ErrMoved) {
		t.Errorf("going on with what was swept: %v", err)
	}
	// What is half there when the room is matched never becomes a fact.
	late := s.beginDelivery(t, 3, 3)
	if err := s.store.TakeMembers(t.Context(), late, 0, audit.Digest{}, members); err != nil {
		t.Fatal(err)
	}
	s.stage(t, "campaign", 0, persons(1, 5))
	s.match(t, "campaign")
	if n := s.count(t, `select count(*) from cleanroom.fact`); n != 5 {
		t.Errorf("%d facts, want 5", n)
	}
	if n, err := s.store.Sweep(t.Context(), cleanroom.DeliveryKept); n != 1 || err != nil {
		t.Errorf("swept %d, %v, want one", n, err)
	}
}

// Whoever begins one delivery after the other, and brings nothing, is stopped for the day.
func TestDeliveriesOfADay(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	begin := func(n int, members int64) error {
		_, err := s.store.Begin(t.Context(), cleanroom.Admission{
			Room: "campaign", Dataset: testDatasets[1], Contract: 1, Manifest: sha256.Sum256([]byte{byte(n), byte(n >> 8)}),
			Identifier: privacy.Email, Members: members, Rows: members,
		}, snapshotEvent(audit.SnapshotDropped))
		return err
	}
	for n := range cleanroom.BegunADay {
		if err := begin(n, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := begin(1000, 3); !errors.Is(err, cleanroom.ErrBegun) || !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("one more: %v", err)
	}
	if n := s.count(t, `select count(*) from cleanroom.snapshot where state = 'loading'`); n != 1 {
		t.Errorf("%d are on their way, want the last that was begun", n)
	}
	if err := begin(1001, 0); err != nil {
		t.Errorf("a draw of the house: %v", err)
	}
	s.exec(t, `update cleanroom.snapshot set begun_at = begun_at - interval '25 hours'`)
	if err := begin(1002, 3); err != nil {
		t.Errorf("a day later: %v", err)
	}
}

// TestOnlyWhatWasJudgedIsMatched: a dataset that comes in while the policies are asked about
// the others is in no epoch that they did not let it into.
func TestOnlyWhatWasJudgedIsMatched(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	s.stage(t, "campaign", 0, persons(1, 60))
	judged := s.judged(t, "campaign")
	s.stage(t, "campaign", 1, persons(31, 90))
	if _, _, err := s.store.Match(t.Context(), "campaign", judged, snapshotEvent(audit.RoomMatched)); !errors.Is(err, privacy.ErrConflict) {
		t.Fatalf("matched with a dataset that nobody judged: %v", err)
	}
	if n := s.count(t, `select count(*) from cleanroom.snapshot where state = 'staged'`); n != 2 {
		t.Errorf("%d datasets wait for the match, want 2", n)
	}
	if _, _, err := s.store.Match(t.Context(), "campaign", s.judged(t, "campaign"), snapshotEvent(audit.RoomMatched)); err != nil {
		t.Errorf("matched again: %v", err)
	}
}
