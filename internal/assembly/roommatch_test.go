package assembly

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// TestAMatchIsJudged: data that is staged is matched only if the policies let its owner match
// it for the purpose of the room. Here rooms were opened and data staged past every other
// check, as if the policies had changed since.
func TestAMatchIsJudged(t *testing.T) {
	t.Parallel()
	house, _ := newHouse(t)
	mustMatchedRoom(t, house)
	ctx, by := t.Context(), Operator("tester")
	ref := cleanroom.DatasetRef{Owner: "brand_partner", Dataset: "loyalty"}
	stage := func(id cleanroom.RoomID, purpose privacy.Purpose, roles ...cleanroom.Role) {
		t.Helper()
		room := &cleanroom.Room{
			ID: id, Purpose: purpose, Mode: cleanroom.Private, Matching: cleanroom.MatchOperator, MinimumEpoch: time.Hour, MinimumMembers: 2,
			Members: []cleanroom.Member{{Party: "brand_partner", Roles: roles}}, Datasets: []cleanroom.DatasetRef{ref},
		}
		if _, err := house.Rooms.Reader.OpenRoom(ctx, room, audit.Event{Kind: audit.RoomOpened, Outcome: audit.Done, Principal: by, Purpose: purpose}); err != nil {
			t.Fatal(err)
		}
		snapshot, err := house.Rooms.Snapshots.Begin(ctx, cleanroom.Admission{Room: id, Dataset: ref, Contract: 1, Manifest: audit.Digest{7}, Identifier: privacy.Email, Members: 2, Rows: 2}, audit.Event{})
		if err != nil {
			t.Fatal(err)
		}
		members := []cleanroom.StagedMember{{Ordinal: 0, Token: make([]byte, 32)}, {Ordinal: 1, Token: append(make([]byte, 31), 1)}}
		rows := []cleanroom.StagedRow{{Ordinal: 0, Dimensions: []int32{0}, Measures: []int64{1}}, {Ordinal: 1, Dimensions: []int32{1}, Measures: []int64{1}}}
		if err := errors.Join(house.Rooms.Snapshots.TakeMembers(ctx, snapshot, 0, audit.Digest{}, members), house.Rooms.Snapshots.TakeRows(ctx, snapshot, 0, rows)); err != nil {
			t.Fatal(err)
		}
		if _, err := house.Rooms.Snapshots.Admit(ctx, snapshot, audit.Event{Kind: audit.SnapshotAdmitted, Outcome: audit.Done, Principal: by, Purpose: purpose, List: audit.Digest{7}}); err != nil {
			t.Fatal(err)
		}
	}
	stage("purpose", "audience_sync", cleanroom.OwnsData) // which the contract does not name
	stage("role", "campaign_measurement", cleanroom.MayQuery)
	stage("good", "campaign_measurement", cleanroom.OwnsData)
	for _, c := range []struct {
		room  cleanroom.RoomID
		check string
	}{{"purpose", "room.contracts_admit"}, {"role", "room.role"}} {
		_, _, err := house.MatchRoom(ctx, by, c.room)
		denied, is := errors.AsType[*cleanroom.Denied](err)
		if !is || !strings.Contains(err.Error(), c.check) || !slices.Contains(denied.Checks, c.check) {
			t.Errorf("room %s: %v, not %s", c.room, err, c.check)
			continue
		}
		entry, _ := last(t, house)
		if entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || entry.List != (audit.Digest{7}) || entry.Policy == (audit.Digest{}) || !slices.Equal(entry.Checks, denied.Checks) {
			t.Errorf("room %s left %s with checks %v", c.room, entry.Kind, entry.Checks)
		}
		snapshots, err := house.Rooms.Snapshots.Snapshots(ctx, c.room)
		if err != nil || len(snapshots) != 1 || snapshots[0].State != cleanroom.SnapshotStaged {
			t.Errorf("room %s: %+v, %v", c.room, snapshots, err)
		}
	}
	if _, _, err := house.MatchRoom(ctx, by, "good"); err != nil {
		t.Errorf("what is allowed is refused: %v", err)
	}
}
