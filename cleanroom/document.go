package cleanroom

import "time"

// RoomDocument is a room as people and programs are shown it.
type RoomDocument struct {
	Room         RoomID           `json:"room"`
	Purpose      string           `json:"purpose"`
	Mode         Mode             `json:"mode"`
	Matching     Matching         `json:"matching"`
	Members      []MemberDocument `json:"members"`
	Datasets     []string         `json:"datasets"` // owner.dataset
	MinimumEpoch int64            `json:"minimum_epoch_seconds"`
	MinimumCount int              `json:"minimum_members"`
	Epoch        int              `json:"epoch"`
	MatchedAt    *time.Time       `json:"matched_at,omitempty"`
	OpenedAt     time.Time        `json:"opened_at"`
	ClosedAt     *time.Time       `json:"closed_at,omitempty"`
}

// MemberDocument is a party in a room.
type MemberDocument struct {
	Party string `json:"party"`
	Roles []Role `json:"roles"`
	// Removed is set for a party that takes part in no rooms any more.
	Removed bool `json:"removed,omitempty"`
}

// Document returns the room as it is shown.
func (r *Room) Document() RoomDocument {
	d := RoomDocument{
		Room: r.ID, Purpose: string(r.Purpose), Mode: r.Mode, Matching: r.Matching, Members: []MemberDocument{}, Datasets: []string{},
		MinimumEpoch: int64(r.MinimumEpoch / time.Second), MinimumCount: r.MinimumMembers, Epoch: r.Epoch, OpenedAt: r.OpenedAt,
	}
	for _, m := range r.Members {
		d.Members = append(d.Members, MemberDocument{Party: string(m.Party), Roles: m.Roles})
	}
	for _, m := range r.Gone {
		d.Members = append(d.Members, MemberDocument{Party: string(m.Party), Roles: m.Roles, Removed: true})
	}
	for _, ref := range r.Datasets {
		d.Datasets = append(d.Datasets, ref.String())
	}
	if !r.MatchedAt.IsZero() {
		d.MatchedAt = &r.MatchedAt
	}
	if !r.ClosedAt.IsZero() {
		d.ClosedAt = &r.ClosedAt
	}
	return d
}
