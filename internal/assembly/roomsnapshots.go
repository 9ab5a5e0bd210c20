package assembly

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// openSnapshots opens what takes datasets in, and drops behind the requests what nobody may
// ask about any more.
func (h *House) openSnapshots() {
	h.Rooms.Snapshots = postgres.NewSnapshotStore(h.DB, h.Log)
	h.tend(chore{time.Hour, "snapshots of closed rooms not dropped, nobody can ask about them all the same", h.tidyRooms})
}

// tidyRooms drops the snapshots of rooms that are closed, forgets what never arrived, and closes
// the runs of questions whose computer is gone.
func (h *House) tidyRooms(ctx context.Context) error {
	if _, err := h.Rooms.Snapshots.Sweep(ctx, cleanroom.DeliveryKept); err != nil {
		return err
	}
	if _, err := h.Rooms.Budgets.Expire(ctx); err != nil {
		return err
	}
	rooms, err := h.Rooms.Reader.Rooms(ctx, true)
	if err != nil {
		return err
	}
	for _, room := range rooms {
		if room.ClosedAt.IsZero() {
			continue
		}
		snapshots, err := h.Rooms.Snapshots.Snapshots(ctx, room.ID)
		if err != nil {
			return err
		}
		for i := range snapshots {
			if snapshots[i].State == cleanroom.SnapshotDropped {
				continue
			}
			_, err := h.DropSnapshot(ctx, privacy.Principal{ID: "server", Role: privacy.RoleDPO}, room.ID, snapshots[i].ID)
			// Another process may have been quicker.
			if err != nil && !errors.Is(err, privacy.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// DropSnapshot takes away the rows of a snapshot of a room.
func (h *House) DropSnapshot(ctx context.Context, by privacy.Principal, id cleanroom.RoomID, snapshot cleanroom.SnapshotID) (audit.Receipt, error) {
	room, err := h.Rooms.Reader.RoomOf(ctx, id)
	if err != nil {
		return audit.Receipt{}, err
	}
	snapshots, err := h.Rooms.Snapshots.Snapshots(ctx, id)
	if err != nil {
		return audit.Receipt{}, err
	}
	for i := range snapshots {
		if snapshots[i].ID == snapshot {
			return h.Rooms.Snapshots.Drop(ctx, snapshot, audit.Event{Kind: audit.SnapshotDropped, Principal: by, Outcome: audit.Done, Purpose: room.Purpose})
		}
	}
	return audit.Receipt{}, fmt.Errorf("the room has no such snapshot: %w", privacy.ErrNotFound)
}
