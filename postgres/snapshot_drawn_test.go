package postgres

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// TestDrawnPeopleGetTheirTokensByPlace: who is there has a place in the order of their ordinals,
// who leaves leaves a gap, and nothing of it works for what is not being loaded.
func TestDrawnPeopleGetTheirTokensByPlace(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t, "campaign")
	ctx := t.Context()
	a := cleanroom.Admission{Room: "campaign", Dataset: testDatasets[0], Contract: 1, Identifier: privacy.Email, Manifest: audit.Digest{1}}
	id, err := s.store.Begin(ctx, a, snapshotEvent(audit.SnapshotDropped))
	if err != nil {
		t.Fatal(err)
	}
	var members []cleanroom.StagedMember
	var rows []cleanroom.StagedRow
	for i, ordinal := range []int64{700, 5, 90_000_000_000, 41} {
		members = append(members, cleanroom.StagedMember{Ordinal: ordinal, Token: personToken(i), Seat: personSeat(i)})
		rows = append(rows, cleanroom.StagedRow{Ordinal: ordinal, Dimensions: []int32{int32(i)}})
	}
	if err := errors.Join(s.store.TakeMembers(ctx, id, 0, audit.Digest{}, members), s.store.TakeRows(ctx, id, 0, rows)); err != nil {
		t.Fatal(err)
	}
	manifest := audit.Digest{2}
	if _, err := s.store.HandOver(ctx, id, manifest, snapshotEvent(audit.SnapshotDrawn)); err == nil {
		t.Error("a list was handed over that nobody has a place on")
	}
	ordinals, err := s.store.Place(ctx, id)
	if err != nil || !slices.Equal(ordinals, []int64{5, 41, 700, 90_000_000_000}) {
		t.Fatalf("the order is %v, %v", ordinals, err)
	}
	receipt, err := s.store.HandOver(ctx, id, manifest, snapshotEvent(audit.SnapshotDrawn))
	if err != nil || receipt.IsZero() {
		t.Fatal(err)
	}
	if found, err := s.store.Delivered(ctx, "campaign", manifest); err != nil || found.ID != id {
		t.Errorf("what was handed over is %+v, %v", found, err)
	}
	s.exec(t, `delete from cleanroom.staged_member where ordinal = 41`)
	s.exec(t, `delete from cleanroom.staged_row where ordinal = 41`)
	var tokens [][]byte
	for i := range 4 {
		tokens = append(tokens, bytes.Repeat([]byte{byte(i + 1)}, 32))
	}
	for range 2 { // it may be called again
		if err := errors.Join(s.store.SetTokens(ctx, id, 0, tokens[:3]), s.store.SetTokens(ctx, id, 3, tokens[3:])); err != nil {
			t.Fatal(err)
		}
	}
	for ordinal, token := range map[int64][]byte{5: tokens[0], 700: tokens[2], 90_000_000_000: tokens[3]} {
		if n := s.count(t, `select count(*) from cleanroom.staged_member where ordinal = $1 and token = $2`, ordinal, token); n != 1 {
			t.Errorf("whoever has the number %d has another token", ordinal)
		}
	}
	if _, err := s.store.Admit(ctx, id, snapshotEvent(audit.SnapshotAdmitted)); err != nil {
		t.Fatal(err)
	}
	if n := s.count(t, `select members from cleanroom.snapshot where snapshot_id = $1`, id); n != 3 {
		t.Errorf("%d people were admitted", n)
	}
	if err := s.store.SetTokens(ctx, id, 0, tokens[:1]); err == nil {
		t.Error("the tokens of what was admitted were changed")
	}
	if _, err := s.store.Place(ctx, id); err == nil {
		t.Error("what was admitted was put into another order")
	}
	if _, err := s.store.HandOver(ctx, id, audit.Digest{3}, snapshotEvent(audit.SnapshotDrawn)); err == nil {
		t.Error("what was admitted was handed over")
	}
	// Beside addresses nothing else waits, and nobody is matched by what is not known.
	other := a
	other.Dataset, other.Identifier = testDatasets[1], privacy.Phone
	if _, err := s.store.Begin(ctx, other, snapshotEvent(audit.SnapshotDropped)); !errors.Is(err, cleanroom.ErrIdentifiers) {
		t.Errorf("telephones beside addresses: %v", err)
	}
	other.Identifier = "shoe_size"
	if _, err := s.store.Begin(ctx, other, snapshotEvent(audit.SnapshotDropped)); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("shoes: %v", err)
	}
	// The dataset itself may come back under another kind, if no other waits.
	a.Identifier = privacy.Phone
	if _, err := s.store.Begin(ctx, a, snapshotEvent(audit.SnapshotDropped)); err != nil {
		t.Errorf("the same dataset by telephone: %v", err)
	}
}
