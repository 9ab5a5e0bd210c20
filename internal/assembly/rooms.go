package assembly

import (
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/admit"
	"github.com/mahrem/mahrem/postgres"
)

// RoomServices are what is there for clean rooms.
type RoomServices struct {
	// Budgets are what may be learned of each dataset, and the answers that were given.
	Budgets *postgres.RoomLedger
	// Reader knows rooms, contracts, templates and snapshots; Register is where they are
	// entered.
	Reader   *postgres.RoomStore
	Register *cleanroom.Register
	// Snapshots takes datasets in, matches and drops them.
	Snapshots *postgres.SnapshotStore
	// Executor computes what questions are about, without asking anybody.
	Executor *postgres.RoomExecutor
	// Questions answers questions about groups of people, and prices them.
	Questions *cleanroom.Service
	// Admissions takes in what parties have prepared.
	Admissions *admit.Desk
}

// openRooms opens what is there for clean rooms.
func (h *House) openRooms() error {
	h.Rooms.Budgets = postgres.NewRoomLedger(h.DB, h.Log, postgres.RoomLedgerConfig{})
	h.Rooms.Reader = postgres.NewRoomStore(h.DB, h.Log)
	h.Rooms.Register = cleanroom.NewRegister(h.Rooms.Reader, cleanroom.RegisterConfig{Revision: h.Engine.Revision, Log: h.Log})
	h.openSnapshots()
	h.openQuestions()
	h.tendStays()
	h.Rooms.Admissions = admit.NewDesk(admit.Config{
		Rooms: h.Rooms.Reader, Staging: h.Rooms.Snapshots, Quotas: postgres.NewEvaluationStore(h.DB, h.Log), Keys: roomTagger{h}, Log: h.Log,
		Policy: func() admit.Policy { return h.Engine.Revision() },
	})
	return nil
}
