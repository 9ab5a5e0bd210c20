package cleanroom

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// Digest is the SHA-256 of what a room was opened with: of "mahrem room v1", a newline, the
// RFC 8785 JSON, and a newline. It stays the same as long as the room is there, whoever leaves.
func (r *Room) Digest() audit.Digest {
	type member struct {
		Party string `json:"party"`
		Roles []Role `json:"roles"`
	}
	document := struct {
		Datasets       []string `json:"datasets"`
		Matching       Matching `json:"matching"`
		Members        []member `json:"members"`
		MinimumEpoch   int64    `json:"minimum_epoch_seconds"`
		MinimumMembers int      `json:"minimum_members"`
		Mode           Mode     `json:"mode"`
		Purpose        string   `json:"purpose"`
		Room           RoomID   `json:"room"`
	}{
		Datasets: []string{}, Matching: r.Matching, Members: []member{}, MinimumEpoch: int64(r.MinimumEpoch / time.Second),
		MinimumMembers: r.MinimumMembers, Mode: r.Mode, Purpose: string(r.Purpose), Room: r.ID,
	}
	for _, d := range r.Datasets {
		document.Datasets = append(document.Datasets, d.String())
	}
	members := slices.Concat(r.Members, r.Gone)
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(string(a.Party), string(b.Party)) })
	for _, m := range members {
		document.Members = append(document.Members, member{string(m.Party), m.Roles})
	}
	// Every word of it is ASCII without signs that JSON escapes, and the keys stand in order,
	// so that this is the canonical form.
	text, err := json.Marshal(document)
	if err != nil {
		panic("cleanroom: a room is always JSON: " + err.Error())
	}
	return sha256.Sum256([]byte("mahrem room v1\n" + string(text) + "\n"))
}
