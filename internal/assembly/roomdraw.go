package assembly

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/activate"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// roomPolicy asks the policies in force.
type roomPolicy struct{ engine *policies.Engine }

// DecideRoom says no without policies.
func (p roomPolicy) DecideRoom(ctx context.Context, facts policies.RoomFacts) (policies.RoomDecision, error) {
	revision := p.engine.Revision()
	if revision == nil {
		return policies.RoomDecision{}, fmt.Errorf("deciding without active policies: %w", privacy.ErrUnavailable)
	}
	return revision.DecideRoom(ctx, facts)
}

// Drawer draws the house's own people into rooms. It makes the key of rooms, unless there is
// one.
func (h *House) Drawer(ctx context.Context) (*draw.Drawer, error) {
	keys, err := h.makeRoomKeys(ctx)
	if err != nil {
		return nil, err
	}
	rules := h.drawRules()
	return draw.New(draw.Config{
		Rooms: h.Rooms.Reader, Staging: h.Rooms.Snapshots, Store: postgres.NewDrawStore(h.DB, h.Keys.Vault()),
		Own: h.evaluator(), Vault: h.Keys.Vault(), Keys: keys, Log: h.Log, Random: h.options.Random, BirthDate: rules.BirthDate, Childhood: rules.Childhood,
		Policy: func() draw.Policy {
			if revision := h.Engine.Revision(); revision != nil {
				return revision
			}
			return nil
		},
	}), nil
}

// drawRules are by which consent is judged, under the policies in force.
func (h *House) drawRules() draw.Rules {
	catalogue := h.Engine.Revision().Catalogue()
	return draw.Rules{
		Catalogue: catalogue, BirthDate: gate.BirthDate,
		Childhood: func(law privacy.Jurisdiction, birth string) consent.Childhood {
			return gate.ChildhoodOf(catalogue, law, birth)
		},
	}
}

// Activator makes audiences of whom a question in a room is about.
func (h *House) Activator() *activate.Activator {
	return activate.New(activate.Config{
		Rooms: h.Rooms.Questions, Snapshots: h.Rooms.Reader, Seats: h.Rooms.Executor, People: postgres.NewDrawStore(h.DB, h.Keys.Vault()),
		Names: h.Pseudonyms, Ledger: h.Rooms.Budgets, Noise: noise.Secure{}, Vault: h.Keys.Vault(), Random: h.options.Random,
		Seat: func(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error) {
			keys, err := h.roomKeys.get()
			if err != nil {
				return [16]byte{}, err
			}
			return keys.Seat(snapshot, person)
		},
		Crowd: func(room cleanroom.RoomID, recipient privacy.RecipientID) ([32]byte, error) {
			keys, err := h.roomKeys.get()
			if err != nil {
				return [32]byte{}, err
			}
			return keys.Crowd(room, recipient)
		},
		Rules:  h.drawRules,
		Report: func(cause error) { h.options.Logger.Warn("an activation failed", "error", cause) },
	})
}
