package assembly

import (
	"context"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/postgres"
)

// evaluator returns the desk that masks for rooms in oprf mode. The key of clean rooms is
// made when the first of them needs it.
func (h *House) evaluator() *match.Desk {
	return match.NewDesk(h.Rooms.Reader, postgres.NewEvaluationStore(h.DB, h.Log), h.makeRoomKeys, h.Log)
}

// RoomPublicKey returns the key by which the parties of a room in oprf mode see that all of them
// are served alike. It makes the key of rooms, unless there is one.
func (h *House) RoomPublicKey(ctx context.Context, room cleanroom.RoomID) ([]byte, error) {
	return h.evaluator().PublicKey(ctx, room)
}
