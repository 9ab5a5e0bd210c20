package postgres

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// drawn begins a draw of the house's people and, if handed is set, hands their list over. It
// returns the digest by which the draw is known.
func (s *snapshotTest) drawn(t testing.TB, number byte, handed bool) (cleanroom.SnapshotID, audit.Digest) {
	t.Helper()
	a := cleanroom.Admission{Room: "campaign", Dataset: testDatasets[0], Contract: 1, Identifier: privacy.Email, Manifest: audit.Digest{number}}
	id, err := s.store.Begin(t.Context(), a, snapshotEvent(audit.SnapshotDropped))
	if err != nil {
		t.Fatal(err)
	}
	if !handed {
		return id, a.Manifest
	}
	err = s.takeMembers(t, id, cleanroom.StagedMember{Ordinal: 1, Token: personToken(1), Seat: personSeat(1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.store.Place(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	manifest := audit.Digest{number, number}
	if _, err := s.store.HandOver(t.Context(), id, manifest, snapshotEvent(audit.SnapshotDrawn)); err != nil {
		t.Fatal(err)
	}
	return id, manifest
}

// ended returns what the log says has been dropped since an entry, and by whom.
func (s *snapshotTest) ended(t testing.TB, since uint64) (digests []audit.Digest, by []privacy.Role) {
	t.Helper()
	entries, err := s.store.log.Entries(t.Context(), since, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		e, err := audit.ParseEntry(entries[i].Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind != audit.SnapshotDropped || e.Outcome != audit.Done {
			continue
		}
		if e.Purpose != "campaign_measurement" {
			t.Errorf("the end of a draw for %q", e.Purpose)
		}
		digests, by = append(digests, e.List), append(by, e.Role)
	}
	return digests, by
}

// TestADrawEndsWithAnEntry: swept, replaced or given up, handed over or not, with somebody in it
// still or nobody; and without the entry it does not end. What a party was bringing has none.
func TestADrawEndsWithAnEntry(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	size := func() uint64 {
		t.Helper()
		n, err := s.store.log.Size(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	want := func(since uint64, what string, digests ...audit.Digest) {
		t.Helper()
		got, _ := s.ended(t, since)
		if !slices.Equal(got, digests) {
			t.Errorf("%s: %d ends are in the log, want %d: %x", what, len(got), len(digests), got)
		}
	}
	old := func() {
		t.Helper()
		s.exec(t, `update cleanroom.snapshot set begun_at = begun_at - interval '8 days', heard_at = heard_at - interval '8 days' where state = 'loading'`)
	}
	sweep := func(n int) {
		t.Helper()
		if swept, err := s.store.Sweep(t.Context(), cleanroom.DeliveryKept); swept != n || err != nil {
			t.Errorf("swept %d, want %d: %v", swept, n, err)
		}
	}
	_, first := s.drawn(t, 1, true)
	before := size()
	sweep(0)
	old()
	sweep(1)
	want(before, "after a week", first)
	sweep(0)
	if _, by := s.ended(t, before); len(by) != 1 || by[0] != "" {
		t.Errorf("swept by %q", by)
	}
	// A further draw takes its place, also when whoever was in it has left.
	_, second := s.drawn(t, 2, true)
	s.exec(t, `delete from cleanroom.staged_member`)
	before = size()
	third, given := s.drawn(t, 3, false)
	want(before, "drawn again", second)
	if _, by := s.ended(t, before); len(by) != 1 || by[0] != privacy.RoleDPO {
		t.Errorf("replaced by %q", by)
	}
	// A draw that breaks off is given up.
	before = size()
	if err := s.store.Abandon(t.Context(), third, audit.Event{Kind: "nothing that the log takes"}); err == nil {
		t.Error("a draw ended without its entry")
	}
	if n := s.count(t, `select count(*) from cleanroom.snapshot where snapshot_id = $1 and state = 'loading'`, third); n != 1 {
		t.Error("a draw is gone of which the log does not say so")
	}
	for range 2 {
		if err := s.store.Abandon(t.Context(), third, snapshotEvent(audit.SnapshotDropped)); err != nil {
			t.Fatal(err)
		}
	}
	want(before, "given up", given)
	// What begins in its place does not begin without the entry either.
	fourth, _ := s.drawn(t, 4, true)
	a := cleanroom.Admission{Room: "campaign", Dataset: testDatasets[0], Contract: 1, Identifier: privacy.Email, Manifest: audit.Digest{5}}
	if _, err := s.store.Begin(t.Context(), a, audit.Event{Kind: "nothing that the log takes"}); err == nil {
		t.Error("a draw took the place of another one without an entry")
	}
	if n := s.count(t, `select count(*) from cleanroom.snapshot where state = 'loading'`); n != 1 {
		t.Errorf("%d are on their way in", n)
	}
	if err := s.store.Abandon(t.Context(), fourth, snapshotEvent(audit.SnapshotDropped)); err != nil {
		t.Fatal(err)
	}
	// A party's delivery comes and goes without one.
	before = size()
	s.begin(t, "campaign", 1, persons(1, 3))
	id := s.begin(t, "campaign", 1, persons(1, 4))
	if err := s.store.Abandon(t.Context(), id, snapshotEvent(audit.SnapshotDropped)); err != nil {
		t.Fatal(err)
	}
	s.begin(t, "campaign", 1, persons(1, 3))
	old()
	sweep(1)
	if n := size(); n != before {
		t.Errorf("%d entries about deliveries that were never admitted", n-before)
	}
}

// TestADrawEndsOnce: of several that end it at the same time one does.
func TestADrawEndsOnce(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	id, manifest := s.drawn(t, 1, true)
	errs := make(chan error)
	for range 4 {
		go func() { errs <- s.store.Abandon(t.Context(), id, snapshotEvent(audit.SnapshotDropped)) }()
	}
	var err error
	for range 4 {
		select {
		case e := <-errs:
			err = errors.Join(err, e)
		case <-time.After(10 * time.Minute):
			t.Fatal("somebody waits for ever")
		}
	}
	if got, _ := s.ended(t, 0); err != nil || !slices.Equal(got, []audit.Digest{manifest}) {
		t.Errorf("%d entries, %v", len(got), err)
	}
}
