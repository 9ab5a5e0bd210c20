package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/policies"
)

// writeRoomDifference says what changes in clean rooms. It is silent where neither a decision
// nor a rule does.
func writeRoomDifference(w io.Writer, d *policies.Difference) {
	switch {
	case len(d.Rooms) > 0:
		_, _ = fmt.Fprintf(w, "\nIn clean rooms:\n")
		writeRoomChanges(w, d.Rooms)
	case d.RoomRules:
		_, _ = fmt.Fprintf(w, "\nIn clean rooms: the rules are written otherwise, and no room that is compared can tell\n")
	}
}

func writeRoomChanges(w io.Writer, changes []policies.RoomChange) {
	t := table{header: []string{"purpose", "change", "who", "may", "columns of", "becomes", "where"}}
	for _, change := range changes {
		becomes := ""
		switch change.Move {
		case policies.RoomOpens:
			becomes = roomLimits(change.To.MinimumPeople, change.To.QueryCap) + "\n(was no: " + strings.Join(change.From.Failed, ",\n") + ")"
		case policies.RoomCloses:
			becomes = "no: " + strings.Join(change.To.Failed, ",\n")
		case policies.RoomLimits:
			becomes = roomLimits(change.To.MinimumPeople, change.To.QueryCap) + "\n(was " + roomLimits(change.From.MinimumPeople, change.From.QueryCap) + ")"
		}
		t.add(string(change.Purpose), strings.ToUpper(string(change.Move)), wrap(change.Parties, 2), wrap(change.Acts, 2),
			wrap(named(change.Categories, "no column"), 3), becomes, wrap(named(change.Where, "rooms in order"), 1))
	}
	t.writeTo(w, "  ")
}

// named gives the word for nothing in particular a name.
func named[T ~string](words []T, nothing T) []T {
	all := slices.Clone(words)
	for i, word := range all {
		if word == "" {
			all[i] = nothing
		}
	}
	return all
}
