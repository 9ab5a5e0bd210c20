package policies

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// probeRoom is [Revision.Probe] for a clean room of one purpose.
func (r *Revision) probeRoom(ctx context.Context, purpose *Purpose) (int, error) {
	if purpose.Room == nil {
		return 0, nil
	}
	tried := 0
	for _, good := range r.welcomeRooms(purpose) {
		if open, err := r.roomOpens(ctx, good); err != nil || !open {
			if errors.Is(err, privacy.ErrUnavailable) {
				return tried, err
			}
			continue // rules that cannot decide open nothing
		}
		for _, spoil := range roomSpoilers {
			bad := good
			bad.Datasets, bad.Columns = slices.Clone(good.Datasets), slices.Clone(good.Columns)
			bad.Members = slices.Clone(good.Members)
			if !spoil.apply(&bad, r.catalogue) {
				continue
			}
			tried++
			open, err := r.roomOpens(ctx, bad)
			if err != nil {
				return tried, fmt.Errorf("%s: %w", spoil.name, err)
			}
			if open {
				return tried, fmt.Errorf("a room may %s although %s: %w", good.Act, spoil.name, privacy.ErrInvalid)
			}
		}
	}
	return tried, nil
}

// welcomeRooms are acts in rooms of the purpose to which nothing speaks against, one of
// each kind.
func (r *Revision) welcomeRooms(purpose *Purpose) []RoomFacts {
	facts := RoomFacts{
		Purpose: purpose.ID, RoomPurpose: purpose.ID, Mode: "dp", Template: true,
		Roles: []string{"owns_data", "may_query", "may_receive", "may_activate"},
	}
	for _, id := range r.catalogue.Recipients() {
		if contains(r.catalogue.recipients[id].Purposes, purpose.ID) {
			facts.Members = append(facts.Members, id)
		}
	}
	if len(facts.Members) == 0 {
		return nil
	}
	facts.Party = facts.Members[0]
	facts.Datasets = []RoomDataset{{Owner: facts.Party, Purposes: []privacy.Purpose{purpose.ID}, Source: "party"}}
	for _, category := range purpose.Room.Categories {
		facts.Columns = append(facts.Columns, RoomColumn{Category: category, Role: "dimension"})
	}
	var all []RoomFacts
	for _, facts.Act = range []RoomAct{AdmitToRoom, MatchInRoom, QueryRoom, ActivateFromRoom} {
		all = append(all, facts)
	}
	return all
}

// roomOpens decides with the limit of an activation.
func (r *Revision) roomOpens(ctx context.Context, facts RoomFacts) (bool, error) {
	decision, err := r.decideAtLeisure(ctx, facts)
	return decision.Allow, err
}

// decideAtLeisure decides with the limit of an activation, and remembers nothing.
func (r *Revision) decideAtLeisure(ctx context.Context, facts RoomFacts) (RoomDecision, error) {
	input := facts.input(r.catalogue)
	value, err := r.evaluateRoom(ctx, input.value(), r.activating())
	if err != nil {
		return RoomDecision{}, err
	}
	return decodeRoom(value)
}

// roomSpoilers turn an act that is allowed into one that must not be. Each reports whether
// it applies.
var roomSpoilers = []struct {
	name  string
	apply func(*RoomFacts, *Catalogue) bool
}{
	{"the act is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Act = "unknown"; return true }},
	{"the party is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Party = "unknown"; return true }},
	{"a member is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Members = append(f.Members, "unknown"); return true }},
	{"a member is contracted for nothing of the kind", func(f *RoomFacts, c *Catalogue) bool {
		for _, id := range c.Recipients() {
			if !contains(c.recipients[id].Purposes, f.RoomPurpose) {
				f.Members = append(f.Members, id)
				return true
			}
		}
		return false
	}},
	{"the party has no role", func(f *RoomFacts, _ *Catalogue) bool { f.Roles = nil; return true }},
	{"the purpose is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Purpose = "unknown"; return true }},
	{"the room's purpose is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.RoomPurpose = "unknown"; return true }},
	{"it serves another purpose than the room", func(f *RoomFacts, c *Catalogue) bool {
		for _, id := range c.recipients[f.Party].Purposes {
			if id != f.RoomPurpose && c.purposes[id].Room != nil {
				f.Purpose, f.Datasets[0].Purposes, f.Columns = id, []privacy.Purpose{id, f.RoomPurpose}, nil
				return f.Act != ActivateFromRoom
			}
		}
		return false
	}},
	{"the mode is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Mode = "unknown"; return true }},
	{"strangers would get exact numbers", func(f *RoomFacts, c *Catalogue) bool {
		f.Mode = "k_only"
		return !c.firstParty(f.Members)
	}},
	{"no contract names the purpose", func(f *RoomFacts, _ *Catalogue) bool { f.Datasets[0].Purposes = nil; return true }},
	{"there is no dataset", func(f *RoomFacts, _ *Catalogue) bool { f.Datasets, f.Columns = nil, nil; return true }},
	{"the owner is not in the room", func(f *RoomFacts, _ *Catalogue) bool { f.Datasets[0].Owner = "unknown"; return true }},
	{"the source is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Datasets[0].Source = "unknown"; return true }},
	{"nobody signed the question", func(f *RoomFacts, _ *Catalogue) bool {
		f.Template = false
		return f.Act == QueryRoom || f.Act == ActivateFromRoom
	}},
	{"a column is of an unknown category", func(f *RoomFacts, _ *Catalogue) bool { f.Columns[0].Category = "unknown"; return true }},
	{"a column is of a special category", func(f *RoomFacts, c *Catalogue) bool {
		for _, id := range c.Categories() {
			if c.categories[id].Special {
				f.Columns[0].Category = id
				return true
			}
		}
		return false
	}},
	{"a column belongs to nothing", func(f *RoomFacts, _ *Catalogue) bool { f.Columns[0].Dataset = 7; return true }},
	{"a column is one to join by", func(f *RoomFacts, _ *Catalogue) bool { f.Columns[0].Role = "join"; return true }},
	{"a vocabulary is unknown", func(f *RoomFacts, _ *Catalogue) bool { f.Columns[0].Vocabulary = "unknown"; return true }},
	{"a product group is unknown", func(f *RoomFacts, _ *Catalogue) bool {
		f.Columns[0].Vocabulary, f.Columns[0].Values = VocabularyProductGroups, []string{"of nobody's catalogue"}
		return true
	}},
	{"a value points to a protected conclusion", func(f *RoomFacts, c *Catalogue) bool {
		for _, group := range c.Groups() {
			if group.pointsSomewhere() {
				f.Columns[0].Values = []string{string(group.ID)}
				return true
			}
		}
		return false
	}},
}

// firstParty reports whether all parties are the company itself.
func (c *Catalogue) firstParty(parties []privacy.RecipientID) bool {
	for _, id := range parties {
		if r, ok := c.recipients[id]; !ok || r.Relationship != FirstParty {
			return false
		}
	}
	return true
}
