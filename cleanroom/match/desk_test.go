package match_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// refusals is a log of what was refused.
type refusals struct {
	events []audit.Event
	err    error
}

func (r *refusals) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if r.err == nil {
		r.events = append(r.events, event)
	}
	return audit.Receipt{}, r.err
}

// take returns the one entry that has come since; nil if none has.
func (r *refusals) take() *audit.Event {
	defer func() { r.events = nil }()
	if len(r.events) == 0 {
		return nil
	}
	return &r.events[len(r.events)-1]
}

// oneRoom knows a single room.
type oneRoom struct{ *cleanroom.Room }

func (o oneRoom) RoomOf(_ context.Context, id cleanroom.RoomID) (*cleanroom.Room, error) {
	if id != o.ID {
		return nil, privacy.ErrNotFound
	}
	return o.Room, nil
}

// TestRefusedEvaluationsHaveEntries: whoever has something evaluated that they may not is
// refused by name, and the log says so; what is only wrong with a request leaves nothing.
func TestRefusedEvaluationsHaveEntries(t *testing.T) {
	t.Parallel()
	keys := newKeys(t)
	generator := []byte{0xe2, 0xf2, 0xae, 0x0a, 0x6a, 0xbc, 0x4e, 0x71, 0xa8, 0x84, 0xa9, 0x61, 0xc5, 0x00, 0x51, 0x5f, 0x58, 0xe3, 0x0b, 0x6a, 0xa5, 0x82, 0xdd, 0x8d, 0xb6, 0xa6, 0x59, 0x45, 0xe0, 0x8d, 0x2d, 0x76}
	shop := privacy.Principal{ID: "shop", Role: privacy.RoleService, Recipient: "shop"}
	type call struct {
		room    cleanroom.Room
		by      privacy.Principal
		asked   cleanroom.RoomID
		members int64
		quotas  quotas
	}
	for name, test := range map[string]struct {
		change func(c *call)
		check  string
		want   error // nil: a Denied that names the check
	}{
		"none of the room's parties": {func(c *call) { c.by.Recipient = "brand" }, cleanroom.CheckMember, nil},
		"a room that is not there":   {func(c *call) { c.asked = "others" }, cleanroom.CheckMember, nil},
		"somebody of the house":      {func(c *call) { c.by.Role = privacy.RoleDPO }, cleanroom.CheckMember, nil},
		"a closed room":              {func(c *call) { c.room.ClosedAt = time.Unix(1, 0) }, cleanroom.CheckMember, nil},
		"a party without data":       {func(c *call) { c.room.Members[0].Roles = []cleanroom.Role{cleanroom.MayQuery} }, cleanroom.CheckRole, nil},
		"another way of matching":    {func(c *call) { c.room.Matching = cleanroom.MatchPair }, match.CheckMatching, nil},
		"a dataset of no room":       {func(c *call) { c.quotas.err = privacy.ErrNotFound }, match.CheckDataset, nil},
		"more than was declared":     {func(c *call) { c.quotas.err = match.ErrQuota }, match.CheckQuota, match.ErrQuota},
		"nobody":                     {func(c *call) { c.members = 0 }, "", privacy.ErrInvalid},
		"no database":                {func(c *call) { c.quotas.err = privacy.ErrUnavailable }, "", privacy.ErrUnavailable},
	} {
		c := call{
			room:  cleanroom.Room{ID: "duo", Purpose: "campaign_measurement", Epoch: 3, Matching: cleanroom.MatchOPRF, Members: []cleanroom.Member{{Party: "shop", Roles: []cleanroom.Role{cleanroom.OwnsData}}}},
			by:    shop,
			asked: "duo", members: 10,
		}
		test.change(&c)
		log := &refusals{}
		desk := match.NewDesk(oneRoom{&c.room}, &c.quotas, func(context.Context) (*match.Keys, error) { return keys, nil }, log)
		ask := func() error {
			answer, err := desk.Evaluate(t.Context(), c.by, c.asked, "homes", c.members, 4, [][]byte{generator})
			if err == nil || answer.Elements != nil {
				t.Errorf("%s: was evaluated", name)
			}
			return err
		}
		err := ask()
		denied, ok := errors.AsType[*cleanroom.Denied](err)
		if test.want != nil && !errors.Is(err, test.want) || test.want == nil && (!ok || !slices.Equal(denied.Checks, []string{test.check})) {
			t.Errorf("%s: %v", name, err)
		}
		entry := log.take()
		switch {
		case test.check == "" && entry != nil, test.check != "" && entry == nil:
			t.Errorf("%s left %+v", name, entry)
		case entry != nil && (entry.Kind != audit.RoomDenied || entry.Outcome != audit.Denied || !slices.Equal(entry.Checks, []string{test.check}) || entry.Principal != c.by || entry.Count != 0):
			t.Errorf("%s left %+v", name, entry)
		case entry != nil && test.check != cleanroom.CheckMember && entry.Purpose != c.room.Purpose:
			t.Errorf("%s: the entry is about %q", name, entry.Purpose)
		}
		if test.check == "" {
			continue
		}
		// What cannot be written down is not told as if it were.
		log.err = privacy.ErrUnavailable
		if err := ask(); !errors.Is(err, privacy.ErrUnavailable) {
			t.Errorf("%s, without a log: %v", name, err)
		}
	}
}
