package draw

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// ruling says what the policies say.
type ruling struct {
	decision policies.RoomDecision
	err      error
}

func (r ruling) DecideRoom(context.Context, policies.RoomFacts) (policies.RoomDecision, error) {
	return r.decision, r.err
}

func (ruling) Catalogue() *policies.Catalogue { return shipped() }

// one is a room with one contract.
type one struct {
	cleanroom.Rooms
	room     *cleanroom.Room
	contract *cleanroom.SignedContract
}

func (o one) RoomOf(_ context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	if id != o.room.ID {
		return nil, privacy.ErrNotFound
	}
	return o.room, nil
}

func (o one) ContractsOf(context.Context, cleanroom.RoomID) ([]*cleanroom.SignedContract, error) {
	return []*cleanroom.SignedContract{o.contract}, nil
}

// heard is a log that keeps what it is told.
type heard []audit.Event

func (h *heard) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	*h = append(*h, event)
	return audit.Receipt{}, nil
}

// deaf is a log that takes nothing.
type deaf struct{}

func (deaf) Append(context.Context, audit.Event) (audit.Receipt, error) {
	return audit.Receipt{}, privacy.ErrUnavailable
}

// TestARefusedDrawLeavesItsEntry: in each way of matching and for each ground, before anybody is
// looked at (there is nothing here that could be); and without the entry there is no refusal
// either, but an error that says so.
func TestARefusedDrawLeavesItsEntry(t *testing.T) {
	t.Parallel()
	by := privacy.Principal{ID: "tester", Role: privacy.RoleDPO}
	no := ruling{decision: policies.RoomDecision{Failed: []string{"room.mode", "room.nothing_special"}, Policy: audit.Digest{7}}}
	yes := ruling{decision: policies.RoomDecision{Allow: true, Policy: audit.Digest{7}}}
	for _, matching := range cleanroom.Matchings() {
		for name, c := range map[string]struct {
			change func(room *cleanroom.Room, contract *cleanroom.Contract, order *Order)
			policy ruling
			checks []string
		}{
			"the policies say no":     {policy: no, checks: no.decision.Failed},
			"the policies are silent": {policy: ruling{err: privacy.ErrUnavailable}, checks: []string{policies.CheckRoomWellFormed}},
			"there is no such room": {policy: yes, checks: []string{cleanroom.CheckMember}, change: func(_ *cleanroom.Room, _ *cleanroom.Contract, o *Order) {
				o.Room = "elsewhere"
			}},
			"the room is closed": {policy: yes, checks: []string{cleanroom.CheckMember}, change: func(r *cleanroom.Room, _ *cleanroom.Contract, _ *Order) {
				r.ClosedAt = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			}},
			"the owner is no member": {policy: yes, checks: []string{cleanroom.CheckMember}, change: func(r *cleanroom.Room, _ *cleanroom.Contract, _ *Order) {
				r.Members[0].Party = "brand_partner"
			}},
			"the owner brings no data": {policy: yes, checks: []string{cleanroom.CheckRole}, change: func(r *cleanroom.Room, _ *cleanroom.Contract, _ *Order) {
				r.Members[0].Roles = []cleanroom.Role{cleanroom.MayQuery}
			}},
			"the contract is for something else": {policy: yes, checks: []string{policies.CheckRoomWellFormed}, change: func(_ *cleanroom.Room, c *cleanroom.Contract, _ *Order) {
				c.Purposes = []privacy.Purpose{"audience_sync"}
			}},
			"nobody knows the purpose": {policy: yes, checks: []string{policies.CheckRoomWellFormed}, change: func(r *cleanroom.Room, c *cleanroom.Contract, _ *Order) {
				r.Purpose, c.Purposes = "horoscopes", []privacy.Purpose{"horoscopes"}
			}},
		} {
			room := &cleanroom.Room{
				ID: "spring", Purpose: "campaign_measurement", Mode: cleanroom.Private, Matching: matching, MinimumMembers: 2,
				Members: []cleanroom.Member{{Party: "retail_media", Roles: []cleanroom.Role{cleanroom.OwnsData}}},
			}
			contract := purchasesContract()
			contract.Purposes = []privacy.Purpose{"campaign_measurement"}
			order := Order{Room: "spring", Dataset: contract.Ref(), Mapping: &Mapping{}}
			if c.change != nil {
				c.change(room, contract, &order)
			}
			log := &heard{}
			config := Config{
				Rooms: one{room: room, contract: &cleanroom.SignedContract{Contract: contract, Digest: audit.Digest{3}}}, Log: log,
				Policy: func() Policy { return c.policy },
			}
			_, err := New(config).Draw(t.Context(), by, order)
			denied, is := errors.AsType[*cleanroom.Denied](err)
			if !is || !errors.Is(err, privacy.ErrForbidden) || !slices.Equal(denied.Checks, c.checks) {
				t.Errorf("%s, %s: %v", matching, name, err)
			}
			if len(*log) != 1 {
				t.Errorf("%s, %s: %d entries", matching, name, len(*log))
				continue
			}
			e := (*log)[0]
			if e.Kind != audit.RoomDenied || e.Outcome != audit.Denied || e.Principal != by || !slices.Equal(e.Checks, c.checks) || e.Policy != c.policy.decision.Policy && e.Policy != (audit.Digest{}) {
				t.Errorf("%s, %s: the entry is %+v", matching, name, e)
			}
			if found := order.Room == "spring"; found != (e.Purpose == room.Purpose) || (found && room.ClosedAt.IsZero()) != (e.List == audit.Digest{3}) {
				t.Errorf("%s, %s: the entry says %q about %x", matching, name, e.Purpose, e.List[:4])
			}
			config.Log = deaf{}
			if _, err := New(config).Draw(t.Context(), by, order); !errors.Is(err, privacy.ErrUnavailable) || errors.Is(err, privacy.ErrForbidden) {
				t.Errorf("%s, %s, without a log: %v", matching, name, err)
			}
		}
	}
}
