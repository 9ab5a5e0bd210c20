package policies

import (
	"context"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// RoomCell is what the policies say of one act in a clean room with a column of one category,
// where everything else is as good as it can be: the parties have every role, the contracts
// name the purpose, the question follows a template, and the words of the column are harmless.
type RoomCell struct {
	Purpose      privacy.Purpose      `json:"purpose"`
	Act          RoomAct              `json:"act"`
	Relationship Relationship         `json:"relationship"`
	Category     privacy.DataCategory `json:"category"`
	Allow        bool                 `json:"allow"`
	// Failed are the checks that stand against it.
	Failed []string `json:"failed,omitempty"`
	// MinimumPeople and QueryCap are the limits that no contract goes below or beyond.
	MinimumPeople int   `json:"minimum_people,omitempty"`
	QueryCap      int64 `json:"query_cap_nanorho,omitempty"`
}

// RoomActs lists every act in a clean room.
func RoomActs() []RoomAct { return []RoomAct{AdmitToRoom, MatchInRoom, QueryRoom, ActivateFromRoom} }

// RoomTable asks the rules about each act in a clean room, for each purpose of the catalogue
// that rooms may have, by the relationship of whoever acts and by category. Cells are in that
// order.
func (r *Revision) RoomTable(ctx context.Context) ([]RoomCell, error) {
	var table []RoomCell
	for _, id := range r.catalogue.Purposes() {
		if r.catalogue.purposes[id].Room == nil {
			continue
		}
		for _, act := range RoomActs() {
			for _, relationship := range []Relationship{FirstParty, Processor, ThirdParty} {
				for _, category := range r.catalogue.Categories() {
					decision, err := r.DecideRoom(ctx, r.usualRoom(id, act, relationship, category))
					if err != nil {
						return nil, err
					}
					table = append(table, RoomCell{
						Purpose: id, Act: act, Relationship: relationship, Category: category,
						Allow: decision.Allow, Failed: decision.Failed, MinimumPeople: decision.MinimumPeople, QueryCap: decision.QueryCap,
					})
				}
			}
		}
	}
	return table, nil
}

// usualRoom is [Revision.roomOf] whoever is the usual party of some relationship.
func (r *Revision) usualRoom(purpose privacy.Purpose, act RoomAct, relationship Relationship, category privacy.DataCategory) RoomFacts {
	return r.roomOf(purpose, act, r.usualParty(purpose, relationship), category)
}

// roomOf is a room in which a party acts on one column. Questions and activations are about
// the house's own people.
func (r *Revision) roomOf(purpose privacy.Purpose, act RoomAct, party privacy.RecipientID, category privacy.DataCategory) RoomFacts {
	owner, source := party, "party"
	if act == QueryRoom || act == ActivateFromRoom {
		owner = r.usualParty(purpose, FirstParty)
	}
	if known, ok := r.catalogue.Recipient(owner); ok && known.Relationship == FirstParty {
		source = "house"
	}
	members := []privacy.RecipientID{party}
	if owner != party {
		members = append(members, owner)
	}
	slices.Sort(members)
	return RoomFacts{
		Act: act, Party: party, Members: members, Roles: []string{"owns_data", "may_query", "may_receive", "may_activate"},
		Purpose: purpose, RoomPurpose: purpose, Mode: "dp", Template: true,
		Datasets: []RoomDataset{{Owner: owner, Purposes: []privacy.Purpose{purpose}, Source: source, AdHoc: true}},
		Columns:  []RoomColumn{{Category: category, Role: "dimension"}},
	}
}

// usualParty is a recipient of some relationship, one that is contracted for the purpose if
// there is one.
func (r *Revision) usualParty(purpose privacy.Purpose, relationship Relationship) (found privacy.RecipientID) {
	for _, id := range r.catalogue.Recipients() {
		recipient := r.catalogue.recipients[id]
		switch {
		case recipient.Relationship != relationship:
		case slices.Contains(recipient.Purposes, purpose):
			return id
		case found == "":
			found = id
		}
	}
	return found
}
