package admit

import (
	"context"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// Standing is how much of a delivery has come.
type Standing struct {
	Room     cleanroom.RoomID
	Dataset  cleanroom.DatasetRef
	Epoch    int
	Manifest audit.Digest
	State    cleanroom.SnapshotState
	// Waiting is whether the owner's part is there, and the other party's is still to come.
	Waiting bool
	// MemberChunks and RowChunks are how many have come.
	MemberChunks, RowChunks int
	// Remasked is the statement that the members are from, in pair mode.
	Remasked audit.Digest
	// KeptUntil is when what is on its way is forgotten, unless more of it comes.
	KeptUntil time.Time
}

// Standing tells a party how much of a delivery has come that it has to bring, or a part of.
// Of others', and of what is not there, it returns an error that wraps [privacy.ErrNotFound].
func (d *Desk) Standing(ctx context.Context, by privacy.Principal, id cleanroom.RoomID, manifest audit.Digest) (*Standing, error) {
	room, err := d.config.Rooms.RoomOf(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("reading room: %w", err)
	}
	at, err := d.config.Staging.Delivered(ctx, id, manifest)
	if err != nil {
		return nil, err
	}
	_, member := room.Member(by.Recipient)
	partner := member && room.Matching == cleanroom.MatchPair
	if by.Role == privacy.RoleService && !(member && by.Recipient == at.Dataset.Owner) && !partner {
		return nil, fmt.Errorf("finding delivery: %w", privacy.ErrNotFound)
	}
	out := &Standing{
		Room: id, Dataset: at.Dataset, Epoch: at.Epoch, Manifest: manifest, State: at.State,
		MemberChunks: at.MemberChunks, RowChunks: at.RowChunks, Remasked: at.Remasked,
	}
	if at.State == cleanroom.SnapshotLoading {
		out.KeptUntil = at.HeardAt.Add(cleanroom.DeliveryKept)
		out.Waiting = room.Matching == cleanroom.MatchPair && int64(at.RowChunks) == chunks(at.Rows)
	}
	return out, nil
}

// chunks is how many chunks n rows make.
func chunks(n int64) int64 { return (n + prepare.ChunkSize - 1) / prepare.ChunkSize }
