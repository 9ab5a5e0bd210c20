package postgres

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// What a plan may ask for at most.
const (
	maxRoomSources = 4
	maxRoomKeys    = 8
	maxRoomGroups  = 1_000_000
)

// roomStatement is a plan as SQL. Nothing of a plan becomes text but numbers and the names of
// slots, which are twelve; values are parameters.
type roomStatement struct {
	plan   *cleanroom.Plan
	groups int64 // how many there can be; they are numbered from 0 on
	// bounded is the source of which people are given no more groups than they count in: the
	// one that has all keys. It is one behind the last if several have, and -1 if nobody can be
	// in too many.
	bounded   int
	arguments []any
}

// newRoomStatement refuses what no contract can lead to.
func newRoomStatement(plan *cleanroom.Plan) (*roomStatement, error) {
	s := &roomStatement{plan: plan, groups: 1}
	if n := len(plan.Sources); n < 1 || n > maxRoomSources {
		return nil, fmt.Errorf("a plan has %d sources: %w", n, privacy.ErrInvalid)
	}
	if len(plan.Keys) > maxRoomKeys || plan.MaxGroups < 1 {
		return nil, fmt.Errorf("a plan has bad keys: %w", privacy.ErrInvalid)
	}
	for i := range plan.Sources {
		source := &plan.Sources[i]
		if source.Snapshot < 1 || slices.ContainsFunc(plan.Sources[:i], func(o cleanroom.PlanSource) bool { return o.Snapshot == source.Snapshot }) {
			return nil, fmt.Errorf("a plan has a bad source: %w", privacy.ErrInvalid)
		}
		for j := range source.Filters {
			if !isDimension(source.Filters[j].Slot) {
				return nil, fmt.Errorf("a plan filters by no dimension: %w", privacy.ErrInvalid)
			}
		}
	}
	for i := range plan.Keys {
		k := &plan.Keys[i]
		if !isDimension(k.Slot) || k.Source < 0 || k.Source >= len(plan.Sources) || k.Size < 1 {
			return nil, fmt.Errorf("a plan has a bad key: %w", privacy.ErrInvalid)
		}
		if s.groups *= int64(k.Size); k.Size > maxRoomGroups || s.groups > maxRoomGroups {
			return nil, fmt.Errorf("a plan has too many groups: %w", privacy.ErrInvalid)
		}
	}
	for i := range plan.Measures {
		m := &plan.Measures[i]
		if !isMeasure(m.Slot) || m.Source < 0 || m.Source >= len(plan.Sources) || m.Lo > m.Hi ||
			m.Lo < -cleanroom.LargestMeasure || m.Hi > cleanroom.LargestMeasure || !slices.IsSorted(m.Edges) {
			return nil, fmt.Errorf("a plan has a bad measure: %w", privacy.ErrInvalid)
		}
	}
	s.bounded = s.boundedSource()
	return s, nil
}

func (s *roomStatement) boundedSource() int {
	if int64(s.plan.MaxGroups) >= s.groups {
		return -1
	}
	source := s.plan.Keys[0].Source
	for i := range s.plan.Keys {
		if s.plan.Keys[i].Source != source {
			return len(s.plan.Sources)
		}
	}
	return source
}

// isDimension and isMeasure are where slots become names of columns.
func isDimension(s cleanroom.Slot) bool {
	return len(s) == 2 && s[0] == 'd' && '1' <= s[1] && s[1] <= '0'+cleanroom.MaximumDimensions
}

func isMeasure(s cleanroom.Slot) bool {
	return len(s) == 2 && s[0] == 'm' && '1' <= s[1] && s[1] <= '0'+cleanroom.MaximumMeasures
}

// value returns the placeholder of a parameter.
func (s *roomStatement) value(v any) string {
	s.arguments = append(s.arguments, v)
	return "$" + strconv.Itoa(len(s.arguments))
}

// number is a bigint parameter.
func (s *roomStatement) number(v int64) string { return s.value(v) + "::bigint" }

// filter is a condition on a dimension; values that no integer can be match nothing.
func (s *roomStatement) filter(f *cleanroom.PlanFilter) string {
	if len(f.Values) == 0 {
		return fmt.Sprintf("f.%s between %s::integer and %s::integer", f.Slot, s.value(clampInt32(f.Lo)), s.value(clampInt32(f.Hi)))
	}
	values := []int32{}
	for _, v := range f.Values {
		if v == int64(int32(v)) {
			values = append(values, int32(v))
		}
	}
	return fmt.Sprintf("f.%s = any (%s::integer[])", f.Slot, s.value(values))
}

func clampInt32(v int64) int32 { return int32(max(math.MinInt32, min(math.MaxInt32, v))) }

// own are the columns of facts that are the keys and the sums of a source, and the condition
// that its rows meet.
func (s *roomStatement) own(i int) (keys, sums []string, where string) {
	var conditions []string
	for j := range s.plan.Sources[i].Filters {
		conditions = append(conditions, s.filter(&s.plan.Sources[i].Filters[j]))
	}
	for j := range s.plan.Keys {
		if k := &s.plan.Keys[j]; k.Source == i {
			keys = append(keys, fmt.Sprintf("f.%s as k%d", k.Slot, j))
			conditions = append(conditions, fmt.Sprintf("f.%s between 0 and %s::integer", k.Slot, s.value(int32(k.Size-1))))
		}
	}
	for j := range s.plan.Measures {
		if m := &s.plan.Measures[j]; m.Source == i {
			sums = append(sums, fmt.Sprintf("cleanroom_read.total(f.%s) as x%d", m.Slot, j))
		}
	}
	if len(conditions) > 0 {
		where = " where " + strings.Join(conditions, " and ")
	}
	return keys, sums, where
}

// facts is what a source is read from.
func (s *roomStatement) facts(i int) string {
	return fmt.Sprintf("cleanroom_read.fact_%d f", s.plan.Sources[i].Snapshot)
}

// source is one row for each person and each combination of the source's own keys, with the
// sums over the rows that count. So nothing fans out when sources are joined.
func (s *roomStatement) source(i int) string {
	if i == s.bounded {
		return s.chosen(i)
	}
	keys, sums, where := s.own(i)
	groups := []string{"f.match_id"}
	for _, key := range keys {
		slot, _, _ := strings.Cut(key, " ")
		groups = append(groups, slot)
	}
	return "select " + strings.Join(slices.Concat([]string{"f.match_id"}, keys, sums), ", ") +
		" from " + s.facts(i) + where + " group by " + strings.Join(groups, ", ")
}

// place numbers the groups; column is where a key is.
func (s *roomStatement) place(column func(j int) string) string {
	place := ""
	for j := range s.plan.Keys {
		if j == 0 {
			place = column(j) + "::bigint"
			continue
		}
		place = fmt.Sprintf("(%s * %s + %s)", place, s.number(int64(s.plan.Keys[j].Size)), column(j))
	}
	return place
}

// mask has the bits that the number of a group takes.
func (s *roomStatement) mask() int64 { return 1<<bits.Len64(uint64(s.groups-1)) - 1 }

// drawn is a keyed hash of a person and a group whose last bits are the number of the group:
// the groups that have the least ones are those in which the person counts. As one number it is
// all that there is to sort and to compare by.
func (s *roomStatement) drawn(person, place string) string {
	return fmt.Sprintf("(hashint8extended(%s, %s # %s) & %s | %s)", place, person, s.number(s.plan.Seed), s.number(^s.mask()), place)
}

// chosen is one row for each person and each of the groups in which they count, of a source
// that has all keys. Facts lie in the order of people, so that finding somebody's least number
// takes no sorting, and going through all of them once more takes less than grouping them by
// person and group. Of few of them, it takes more.
func (s *roomStatement) chosen(i int) string {
	_, sums, where := s.own(i)
	place := s.place(func(j int) string { return "f." + string(s.plan.Keys[j].Slot) })
	drawn := s.drawn("f.match_id", place)
	from := " from " + s.facts(i)
	if s.plan.MaxGroups == 1 {
		least := "select f.match_id, min(" + drawn + ") as h" + from + where + " group by f.match_id"
		if len(sums) == 0 {
			return least
		}
		if len(s.plan.Sources[i].Filters) > 0 {
			return s.first("select " + strings.Join(append([]string{"f.match_id", drawn + " as h"}, sums...), ", ") + from + where + " group by 1, 2")
		}
		// Written as a difference, so that nothing is sorted by it for the join.
		return "select " + strings.Join(append([]string{"f.match_id", "min(c.h) as h"}, sums...), ", ") + " from (" + least + ") c" +
			" join " + s.facts(i) + " on f.match_id = c.match_id and " + place + " - (c.h & " + s.number(s.mask()) + ") = 0" + where +
			" group by f.match_id"
	}
	columns := []string{"f.match_id", drawn + " as h", "dense_rank() over (partition by f.match_id order by " + drawn + ") as place"}
	for n := range cleanroom.MaximumMeasures {
		columns = append(columns, fmt.Sprintf("f.m%d", n+1))
	}
	return "select " + strings.Join(append([]string{"f.match_id", "f.h"}, sums...), ", ") +
		" from (select " + strings.Join(columns, ", ") + from + where + ") f" +
		" where f.place <= " + s.number(int64(s.plan.MaxGroups)) + " group by f.match_id, f.h"
}

// first keeps of each person the row with the least number.
func (s *roomStatement) first(people string) string {
	return "select distinct on (u.match_id) u.* from (" + people + ") u order by u.match_id, u.h"
}

// people is one row for each person and group, with clamped sums.
func (s *roomStatement) people() string {
	columns := []string{"s0.match_id"}
	if len(s.plan.Keys) > 0 {
		joined := func(j int) string { return fmt.Sprintf("s%d.k%d", s.plan.Keys[j].Source, j) }
		switch s.bounded {
		case -1:
			columns = append(columns, s.place(joined)+" as g")
		case len(s.plan.Sources):
			columns = append(columns, s.drawn("s0.match_id", s.place(joined))+" as h")
		default:
			columns = append(columns, fmt.Sprintf("s%d.h & %s as g", s.bounded, s.number(s.mask())))
		}
	}
	for j := range s.plan.Measures {
		m := &s.plan.Measures[j]
		columns = append(columns, fmt.Sprintf("least(greatest(s%d.x%d, %s), %s) as x%d", m.Source, j, s.number(m.Lo), s.number(m.Hi), j))
	}
	text := "select " + strings.Join(columns, ", ") + " from (" + s.source(0) + ") s0"
	for i := 1; i < len(s.plan.Sources); i++ {
		text += fmt.Sprintf(" join (%s) s%d on s%d.match_id = s0.match_id", s.source(i), i, i)
	}
	if s.bounded < len(s.plan.Sources) {
		return text
	}
	// Whose groups come from several sources has them only now.
	g := "b.h & " + s.number(s.mask()) + " as g"
	if s.plan.MaxGroups == 1 {
		return "select b.*, " + g + " from (" + s.first(text) + ") b"
	}
	return "select b.*, " + g + " from (select u.*, row_number() over (partition by u.match_id order by u.h) as place from (" + text + ") u) b" +
		" where b.place <= " + s.number(int64(s.plan.MaxGroups))
}

// answer is one row for each group: its number, its people, and for each measure its sum or
// the people in each bin.
func (s *roomStatement) answer() string {
	from := s.people()
	var columns []string
	if len(s.plan.Keys) > 0 {
		columns = append(columns, "p.g")
	}
	columns = append(columns, "count(*)")
	for j := range s.plan.Measures {
		edges := s.plan.Measures[j].Edges
		if len(edges) == 0 {
			columns = append(columns, fmt.Sprintf("cleanroom_read.total(p.x%d)", j))
			continue
		}
		for b := range len(edges) + 1 {
			condition := ""
			switch {
			case b == 0:
				condition = fmt.Sprintf("p.x%d < %s", j, s.number(edges[0]))
			case b == len(edges):
				condition = fmt.Sprintf("p.x%d >= %s", j, s.number(edges[b-1]))
			default:
				condition = fmt.Sprintf("p.x%d >= %s and p.x%d < %s", j, s.number(edges[b-1]), j, s.number(edges[b]))
			}
			columns = append(columns, fmt.Sprintf("count(*) filter (where %s)", condition))
		}
	}
	text := "select " + strings.Join(columns, ", ") + " from (" + from + ") p"
	if len(s.plan.Keys) > 0 {
		text += " group by p.g"
	}
	return text
}

// key is what the number of a group stands for.
func (s *roomStatement) key(place int64) []int {
	key := make([]int, len(s.plan.Keys))
	for j := len(key) - 1; j >= 0; j-- {
		size := int64(s.plan.Keys[j].Size)
		key[j], place = int(place%size), place/size
	}
	return key
}

// seats are those of the people whom the sources have in common, each once.
func (s *roomStatement) seats(snapshot cleanroom.SnapshotID) string {
	text := fmt.Sprintf("select t.seat from cleanroom_read.seat_%d t", snapshot)
	for i := range s.plan.Sources {
		text += fmt.Sprintf(" join (%s) s%d on s%d.match_id = t.match_id", s.source(i), i, i)
	}
	return text
}
