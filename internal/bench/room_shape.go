package bench

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
)

// groupShape is a kind of question, and the same by hand on the tables themselves: without
// bounding in how many groups a person counts, and without noise.
type groupShape struct {
	name string
	plan func(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan
	// inner has match_id, k (and l, if there are two keys) and x for each person and group;
	// outer and by make groups of it.
	inner, outer, by string
}

// What a person adds to a group at most, and where bins end.
const (
	roomClamp     = 8000
	roomClampText = "8000"
)

var roomEdges = []int64{1000, 3000, 6000}

const (
	bareOwn   = `select match_id, d1 as k, least(greatest(sum(m1), 0), ` + roomClampText + `) as x from cleanroom.fact_%[1]d group by match_id, d1`
	bareSums  = `select u.k, count(*), sum(u.x)::bigint`
	bareBins  = bareSums + `, count(*) filter (where u.x < 1000), count(*) filter (where u.x >= 1000 and u.x < 3000), count(*) filter (where u.x >= 3000 and u.x < 6000), count(*) filter (where u.x >= 6000)`
	byGroup   = ` group by u.k`
	bareOther = `
	select f.match_id, s.d1 as k, f.x
	from (select match_id, least(greatest(sum(m1), 0), ` + roomClampText + `) as x from cleanroom.fact_%[1]d group by match_id) f
	join (select match_id, d1 from cleanroom.fact_%[2]d group by match_id, d1) s on s.match_id = f.match_id`
	bareBoth = `
	select f.match_id, f.k, s.d1 as l, f.x
	from (` + bareOwn + `) f
	join (select match_id, d1 from cleanroom.fact_%[2]d group by match_id, d1) s on s.match_id = f.match_id`
)

// groupShapes are the shapes that are measured.
var groupShapes = []groupShape{
	{"by the other party's groups", joined(1, 1), bareOther, bareSums, byGroup},
	{"by its own groups, people count in 1", own(1), bareOwn, bareSums, byGroup},
	{"by its own groups, people count in 3", own(3), bareOwn, bareSums, byGroup},
	{"by its own groups, people count in all", own(roomGroups), bareOwn, bareSums, byGroup},
	{"people alone, by its own groups", peopleAlone, `select match_id, d1 as k from cleanroom.fact_%[1]d group by match_id, d1`, `select u.k, count(*)`, byGroup},
	{"a quarter of the year", filtered, strings.Replace(bareOwn, " group by", " where d2 between 20000 and 20090 group by", 1), bareSums, byGroup},
	{"averages and a histogram", binned, bareOwn, bareBins, byGroup},
	{"by the groups of both parties", joined(0, 1), bareBoth, `select u.k, u.l, count(*), sum(u.x)::bigint`, ` group by u.k, u.l`},
}

// own asks for people and sums by group.
func own(most int) func(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
	return func(purchases, _ cleanroom.SnapshotID) *cleanroom.Plan {
		return &cleanroom.Plan{
			Sources:   []cleanroom.PlanSource{{Snapshot: purchases}},
			Keys:      []cleanroom.PlanKey{{Slot: "d1", Size: roomGroups}},
			Measures:  []cleanroom.PlanMeasure{{Slot: "m1", Lo: 0, Hi: roomClamp}},
			MaxGroups: most, Seed: 1,
		}
	}
}

func peopleAlone(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
	plan := own(1)(purchases, segments)
	plan.Measures = nil
	return plan
}

func filtered(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
	plan := own(1)(purchases, segments)
	plan.Sources[0].Filters = []cleanroom.PlanFilter{{Slot: "d2", Lo: 20_000, Hi: 20_090}}
	return plan
}

// binned asks for a histogram beside the sums, which are what an average is made of.
func binned(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
	plan := own(1)(purchases, segments)
	plan.Measures = append(plan.Measures, cleanroom.PlanMeasure{Slot: "m1", Lo: 0, Hi: roomClamp, Edges: roomEdges})
	return plan
}

// joined asks by the other party's groups, from their own on if first is 0.
func joined(first, most int) func(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
	return func(purchases, segments cleanroom.SnapshotID) *cleanroom.Plan {
		plan := own(most)(purchases, segments)
		plan.Sources = append(plan.Sources, cleanroom.PlanSource{Snapshot: segments})
		plan.Keys = append(plan.Keys, cleanroom.PlanKey{Source: 1, Slot: "d1", Size: roomSegments})[first:]
		return plan
	}
}

// scanBare reads keys, people, and sums or bins.
func scanBare(row pgx.CollectableRow, plan *cleanroom.Plan) (cleanroom.Group, error) {
	g := cleanroom.Group{Key: make([]int, len(plan.Keys)), Sums: make([]int64, len(plan.Measures)), Bins: make([][]int64, len(plan.Measures))}
	var to []any
	for i := range g.Key {
		to = append(to, &g.Key[i])
	}
	to = append(to, &g.People)
	for i, m := range plan.Measures {
		if len(m.Edges) == 0 {
			to = append(to, &g.Sums[i])
			continue
		}
		g.Bins[i] = make([]int64, len(m.Edges)+1)
		for j := range g.Bins[i] {
			to = append(to, &g.Bins[i][j])
		}
	}
	return g, row.Scan(to...)
}
