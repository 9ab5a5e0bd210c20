package cleanroom

import "context"

// SnapshotID numbers the snapshots of a house. A snapshot never changes, except that people
// who withdraw or are erased leave it.
type SnapshotID int64

// Plan is what is to be computed, exactly, for an answer: it comes from a query and the
// contracts, and holds nothing but numbers. Values of enum columns are their places in the
// domain, days are counted from 1970-01-01.
type Plan struct {
	// Sources are the snapshots that are joined on the match.
	Sources []PlanSource
	// Keys are what is grouped by, in order.
	Keys []PlanKey
	// Measures are summed per person and group, clamped to [Lo, Hi], and then summed.
	Measures []PlanMeasure
	// MaxGroups is in how many groups one person counts; which ones is drawn by Seed.
	MaxGroups int
	Seed      int64
}

// PlanSource is one snapshot and the rows of it that count.
type PlanSource struct {
	Snapshot SnapshotID
	Filters  []PlanFilter
}

// PlanFilter holds for rows whose slot is one of Values, or, if there are none, lies in
// [Lo, Hi].
type PlanFilter struct {
	Slot   Slot
	Values []int64
	Lo, Hi int64
}

// PlanKey groups by a slot; its values are 0 to Size-1.
type PlanKey struct {
	Source int
	Slot   Slot
	Size   int
}

// PlanMeasure is a sum, or with Edges a histogram of people's sums.
type PlanMeasure struct {
	Source int
	Slot   Slot
	Lo, Hi int64
	// Edges are the bins: a person whose clamped sum s has Edges[i] <= s < Edges[i+1] counts
	// in bin i+1; those below the first edge in bin 0, those from the last on in the last one.
	Edges []int64
}

// Slot is where a snapshot keeps a column: d1 to d8 for dimensions and days, m1 to m4 for
// measures.
type Slot string

// Group is an exact result. It never leaves the room.
type Group struct {
	Key    []int // a value for each of the plan's keys
	People int64
	Sums   []int64   // a number for each measure without edges, 0 for the others
	Bins   [][]int64 // people for each bin of each measure with edges, nil for the others
}

// Executor computes plans over the snapshots of one room.
//
// Run returns the groups that have people, in any order. Whatever goes wrong after data was
// touched may depend on the data, so callers must not pass it on.
type Executor interface {
	Run(ctx context.Context, room RoomID, plan *Plan) ([]Group, error)
}
