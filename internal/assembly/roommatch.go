package assembly

import (
	"context"
	"fmt"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// MatchRoom begins the next epoch of a room with what is staged, if the policies in force let
// each of its owners match it. A refusal is in the log, and a [cleanroom.Denied].
func (h *House) MatchRoom(ctx context.Context, by privacy.Principal, id cleanroom.RoomID) (*cleanroom.Matched, audit.Receipt, error) {
	room, err := h.Rooms.Reader.RoomOf(ctx, id)
	if err != nil {
		return nil, audit.Receipt{}, err
	}
	snapshots, err := h.Rooms.Snapshots.Snapshots(ctx, id)
	if err != nil {
		return nil, audit.Receipt{}, err
	}
	for i := range snapshots {
		if snapshots[i].State != cleanroom.SnapshotStaged {
			continue
		}
		if err := h.judgeMatch(ctx, by, room, &snapshots[i]); err != nil {
			return nil, audit.Receipt{}, err
		}
	}
	return h.Rooms.Snapshots.Match(ctx, id, cleanroom.Staged(snapshots), audit.Event{Kind: audit.RoomMatched, Principal: by, Outcome: audit.Done, Purpose: room.Purpose})
}

// judgeMatch asks the policies about one staged dataset: under the contract that its rows were
// prepared under, and under the one in force, which may allow less.
func (h *House) judgeMatch(ctx context.Context, by privacy.Principal, room *cleanroom.Room, snapshot *cleanroom.Snapshot) error {
	denied := audit.Event{Kind: audit.RoomDenied, Outcome: audit.Denied, Principal: by, Purpose: room.Purpose, List: snapshot.Manifest}
	owner, ok := room.Member(snapshot.Dataset.Owner)
	if !ok {
		return h.denyMatch(ctx, denied, cleanroom.CheckMember)
	}
	versions, err := h.Rooms.Reader.Contracts(ctx, snapshot.Dataset)
	if err != nil {
		return err
	}
	prepared := false
	for i, filed := range versions {
		if i > 0 && filed.Contract.Version != snapshot.Contract {
			continue
		}
		prepared = prepared || filed.Contract.Version == snapshot.Contract
		decision, err := roomPolicy{h.Engine}.DecideRoom(ctx, matchFacts(room, owner, filed.Contract))
		denied.Policy = decision.Policy
		if err != nil || !decision.Allow {
			return h.denyMatch(ctx, denied, decision.Failed...)
		}
	}
	if !prepared {
		return fmt.Errorf("finding the contract that a staged dataset was prepared under: %w", privacy.ErrDamaged)
	}
	return nil
}

// matchFacts are what the policies decide on when a dataset is matched in a room.
func matchFacts(room *cleanroom.Room, owner cleanroom.Member, contract *cleanroom.Contract) policies.RoomFacts {
	facts := cleanroom.AdmissionFacts(contract, room.Purpose)
	facts.Act, facts.Mode, facts.Members, facts.Roles = policies.MatchInRoom, string(room.Mode), nil, nil
	for _, member := range room.Members {
		facts.Members = append(facts.Members, member.Party)
	}
	for _, role := range owner.Roles {
		facts.Roles = append(facts.Roles, string(role))
	}
	return facts
}

// denyMatch writes a refusal down and returns it.
func (h *House) denyMatch(ctx context.Context, event audit.Event, checks ...string) error {
	if len(checks) == 0 {
		checks = []string{policies.CheckRoomWellFormed}
	}
	event.Checks = checks
	if _, err := h.Log.Append(ctx, event); err != nil {
		return fmt.Errorf("logging a refusal: %w", err)
	}
	return fmt.Errorf("matching is refused by %s: %w", strings.Join(checks, ", "), &cleanroom.Denied{Checks: checks})
}
