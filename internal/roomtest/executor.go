package roomtest

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// Row is one row of a snapshot: whose it is, and its columns as snapshots keep them.
type Row struct {
	Match int64
	D     [cleanroom.MaximumDimensions]int64
	M     [cleanroom.MaximumMeasures]int64
}

// Executor computes plans over rows in memory, as straightforwardly as can be: it is what
// the executor on PostgreSQL is compared with. Snapshots may be replaced between runs, but not during
// one.
type Executor struct {
	Snapshots map[cleanroom.SnapshotID][]Row
	// Fault, if there is one, is called once the data was read; its error fails the run.
	Fault func(plan *cleanroom.Plan, groups []cleanroom.Group) error
}

var _ cleanroom.Executor = (*Executor)(nil)

// part is what one person has in one source under one choice of that source's keys.
type part struct {
	key  []int // of this source's keys alone, in the plan's order
	sums []int64
}

// Run returns the groups that have people, ordered by key.
func (e *Executor) Run(_ context.Context, _ cleanroom.RoomID, plan *cleanroom.Plan) ([]cleanroom.Group, error) {
	sources := make([]map[int64][]part, len(plan.Sources))
	for i := range plan.Sources {
		var err error
		if sources[i], err = e.source(plan, i); err != nil {
			return nil, err
		}
	}
	groups := map[string]*cleanroom.Group{}
	for match, first := range sources[0] {
		combined := combinations(plan, sources, match, first)
		if plan.MaxGroups > 0 && len(combined) > plan.MaxGroups {
			slices.SortFunc(combined, func(a, b personGroup) int {
				return cmp.Compare(rank(plan.Seed, match, a.key), rank(plan.Seed, match, b.key))
			})
			combined = combined[:plan.MaxGroups]
		}
		for _, c := range combined {
			count(plan, groups, c)
		}
	}
	result := make([]cleanroom.Group, 0, len(groups))
	for _, group := range groups {
		result = append(result, *group)
	}
	slices.SortFunc(result, func(a, b cleanroom.Group) int { return slices.Compare(a.Key, b.Key) })
	if e.Fault != nil {
		if err := e.Fault(plan, result); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// source returns what each person has in one source.
func (e *Executor) source(plan *cleanroom.Plan, i int) (map[int64][]part, error) {
	rows, ok := e.Snapshots[plan.Sources[i].Snapshot]
	if !ok {
		return nil, fmt.Errorf("snapshot %d: %w", plan.Sources[i].Snapshot, privacy.ErrNotFound)
	}
	people := map[int64][]part{}
	var key []int
rows:
	for r := range rows {
		row := &rows[r]
		for f := range plan.Sources[i].Filters {
			if !holds(&plan.Sources[i].Filters[f], row) {
				continue rows
			}
		}
		key = key[:0]
		for _, k := range plan.Keys {
			if k.Source != i {
				continue
			}
			value := slot(row, k.Slot)
			if value < 0 || value >= int64(k.Size) {
				continue rows
			}
			key = append(key, int(value))
		}
		parts := people[row.Match]
		at := slices.IndexFunc(parts, func(p part) bool { return slices.Equal(p.key, key) })
		if at < 0 {
			at = len(parts)
			parts = append(parts, part{key: slices.Clone(key), sums: make([]int64, len(plan.Measures))})
			people[row.Match] = parts
		}
		for m := range plan.Measures {
			if plan.Measures[m].Source == i {
				parts[at].sums[m] += slot(row, plan.Measures[m].Slot)
			}
		}
	}
	return people, nil
}

func holds(filter *cleanroom.PlanFilter, row *Row) bool {
	value := slot(row, filter.Slot)
	if len(filter.Values) > 0 {
		return slices.Contains(filter.Values, value)
	}
	return filter.Lo <= value && value <= filter.Hi
}

// slot returns a column of a row.
func slot(row *Row, slot cleanroom.Slot) int64 {
	n, err := strconv.Atoi(string(slot[1:]))
	if err != nil {
		panic("roomtest: there is no slot " + string(slot))
	}
	if slot[0] == 'm' {
		return row.M[n-1]
	}
	return row.D[n-1]
}

// personGroup is one person in one group.
type personGroup struct {
	key  []int
	sums []int64
}

// combinations returns the groups that a person is in: whoever is in all of the sources is in
// each choice of their keys, with the sums of each source under its own.
func combinations(plan *cleanroom.Plan, sources []map[int64][]part, match int64, first []part) []personGroup {
	chosen := make([]*part, len(sources))
	var all []personGroup
	var choose func(i int)
	choose = func(i int) {
		if i == len(sources) {
			all = append(all, join(plan, chosen))
			return
		}
		parts := first
		if i > 0 {
			parts = sources[i][match]
		}
		for p := range parts {
			chosen[i] = &parts[p]
			choose(i + 1)
		}
	}
	choose(0)
	return all
}

// join puts the parts of a person together.
func join(plan *cleanroom.Plan, chosen []*part) personGroup {
	group := personGroup{key: make([]int, len(plan.Keys)), sums: make([]int64, len(plan.Measures))}
	used := make([]int, len(chosen))
	for k := range plan.Keys {
		source := plan.Keys[k].Source
		group.key[k] = chosen[source].key[used[source]]
		used[source]++
	}
	for m, measure := range plan.Measures {
		group.sums[m] = min(max(chosen[measure.Source].sums[m], measure.Lo), measure.Hi)
	}
	return group
}

// count adds one person to their group.
func count(plan *cleanroom.Plan, groups map[string]*cleanroom.Group, person personGroup) {
	name := make([]byte, 0, 4*len(person.key))
	for _, value := range person.key {
		name = binary.BigEndian.AppendUint32(name, uint32(value))
	}
	group, ok := groups[string(name)]
	if !ok {
		group = &cleanroom.Group{Key: person.key, Sums: make([]int64, len(plan.Measures)), Bins: make([][]int64, len(plan.Measures))}
		for m, measure := range plan.Measures {
			if len(measure.Edges) > 0 {
				group.Bins[m] = make([]int64, len(measure.Edges)+1)
			}
		}
		groups[string(name)] = group
	}
	group.People++
	for m, measure := range plan.Measures {
		if len(measure.Edges) == 0 {
			group.Sums[m] += person.sums[m]
			continue
		}
		bin, at := slices.BinarySearch(measure.Edges, person.sums[m])
		if at {
			bin++
		}
		group.Bins[m][bin]++
	}
}

// rank orders the groups of a person as the seed has it.
func rank(seed, match int64, key []int) uint64 {
	hash := fnv.New64a()
	var word [8]byte
	for _, value := range append([]int{int(seed), int(match)}, key...) {
		binary.BigEndian.PutUint64(word[:], uint64(value))
		_, _ = hash.Write(word[:])
	}
	return hash.Sum64()
}
