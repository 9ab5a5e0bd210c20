package cleanroom

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/cleanroom/noise"
)

// Scope is what a query is looked up in: a room, the contracts that bind it, and the
// snapshots that can be asked about.
type Scope struct {
	Room      *Room
	Contracts []*SignedContract
	Snapshots []MatchedSnapshot
	// Activating is whether people are to be addressed: that has a purpose of its own, which
	// the contracts must name too.
	Activating bool
}

// Rule is what binds a question: the strictest of all contracts that it touches.
type Rule struct {
	MinimumPeople      int
	QueryCap           Rho
	MaxGroupsPerPerson int
	// AdHoc is whether questions may follow no template.
	AdHoc bool
}

// Question is a query of which every word was found in the contracts. It says the same thing
// in the same way, whatever names the asker gave and in whatever order they wrote.
type Question struct {
	Rule Rule

	query    *Query
	room     *Room
	template bool
	sources  []source // sorted by dataset
	keys     []key    // sorted by name
	measures []measure
	metrics  []metric // sorted by name; people first
	groups   int      // in how many groups one person can count at most
	size     int      // how many groups there are
}

// source is a dataset of a question and what is asked of its rows.
type source struct {
	place    int // in the query's from
	ref      DatasetRef
	contract *SignedContract
	snapshot MatchedSnapshot
	filters  []filter // sorted by column
}

type filter struct {
	column *Column
	slot   Slot
	places []int64 // sorted; of words
	from   int64   // of a span
	to     int64
	// whole is whether it limits nothing: all that the people were matched with passes. Then it is
	// looked at by the policies and is no part of the question.
	whole bool
}

type key struct {
	name   string // owner.dataset.column
	source int
	slot   Slot
	column *Column
}

// measure is a column that is summed a person, with bins or without.
type measure struct {
	name   string
	source int
	slot   Slot
	column *Column
	bins   bool
}

// metric is a number of the answer.
type metric struct {
	function Function
	name     string // "people", or function(owner.dataset.column)
	measure  int    // -1 for people
}

// NewQuestion looks a query up. What it finds nowhere, or not allowed, is refused with a
// [privacy.FieldError] that has a JSON pointer; no data is read for that. A query that follows
// a template must have been filled in (see [Template.Fill]); template says that it was.
func NewQuestion(query *Query, scope *Scope, template bool) (*Question, error) {
	if err := query.check(); err != nil {
		return nil, err
	}
	if query.Room != scope.Room.ID {
		return nil, fault("/room", "this is another room")
	}
	if query.Purpose != scope.Room.Purpose && !scope.Activating {
		return nil, fault("/purpose", "the room is for another purpose")
	}
	q := &Question{query: query, room: scope.Room, template: template}
	for i := range query.From {
		if err := q.addSource(i, scope); err != nil {
			return nil, withinList("from", i, err)
		}
	}
	slices.SortFunc(q.sources, func(a, b source) int { return compareRefs(a.ref, b.ref) })
	q.setRule()
	if !template && !q.Rule.AdHoc {
		return nil, fault("/template", "a dataset of this query is asked by templates alone")
	}
	for i := range query.Where {
		if err := q.addFilter(&query.Where[i]); err != nil {
			return nil, withinList("where", i, err)
		}
	}
	for i, column := range query.GroupBy {
		if err := q.addKey(column); err != nil {
			return nil, withinList("group_by", i, err)
		}
	}
	for i := range query.Metrics {
		if err := q.addMetric(&query.Metrics[i]); err != nil {
			return nil, withinList("metrics", i, err)
		}
	}
	return q, q.finish()
}

func (q *Question) addSource(place int, scope *Scope) error {
	ref, err := ParseDatasetRef(q.query.From[place].Dataset)
	if err != nil {
		return fault("/dataset", "this is owner.dataset")
	}
	i := slices.IndexFunc(scope.Contracts, func(c *SignedContract) bool { return c.Ref() == ref })
	member, ok := scope.Room.Member(ref.Owner)
	if i < 0 || !ok || !member.Has(OwnsData) {
		return fault("/dataset", "the room has no such dataset")
	}
	contract := scope.Contracts[i]
	if !slices.Contains(contract.Contract.Purposes, q.query.Purpose) {
		return fault("/dataset", "its contract is for other purposes than that of the query")
	}
	if len(q.sources) > 0 && contract.Contract.Unit != q.sources[0].contract.Contract.Unit {
		return fault("/dataset", "its contract protects persons and another one households: they do not match")
	}
	j := slices.IndexFunc(scope.Snapshots, func(s MatchedSnapshot) bool { return s.Dataset == ref })
	if j < 0 {
		return fault("/dataset", "no people of this dataset are matched in the room's epoch")
	}
	q.sources = append(q.sources, source{place: place, ref: ref, contract: contract, snapshot: scope.Snapshots[j]})
	return nil
}

func compareRefs(a, b DatasetRef) int {
	if c := strings.Compare(string(a.Owner), string(b.Owner)); c != 0 {
		return c
	}
	return strings.Compare(string(a.Dataset), string(b.Dataset))
}

func (q *Question) setRule() {
	q.Rule = Rule{QueryCap: math.MaxInt64, MaxGroupsPerPerson: math.MaxInt, AdHoc: true}
	for i := range q.sources {
		c := q.sources[i].contract.Contract
		q.Rule.MinimumPeople = max(q.Rule.MinimumPeople, c.MinimumPeople)
		q.Rule.QueryCap = min(q.Rule.QueryCap, c.QueryCap)
		q.Rule.MaxGroupsPerPerson = min(q.Rule.MaxGroupsPerPerson, c.MaxGroupsPerPerson)
		q.Rule.AdHoc = q.Rule.AdHoc && c.AdHoc
	}
}

// find looks up alias.column in the contracts, and where the snapshot keeps it.
func (q *Question) find(name string) (place int, column *Column, slot Slot, err error) {
	alias, name, _ := splitColumn(name)
	for i := range q.sources {
		s := &q.sources[i]
		if q.query.From[s.place].As != alias {
			continue
		}
		column, ok := s.contract.Contract.Column(name)
		if !ok {
			return 0, nil, "", fault("", "the contract has no such column")
		}
		prepared, ok := s.snapshot.Prepared.Contract.Column(name)
		if !ok || prepared.Type != column.Type || (prepared.Role == Measure) != (column.Role == Measure) ||
			prepared.Other != column.Other || !slices.Equal(prepared.Domain, column.Domain) {
			return 0, nil, "", fault("", "the people were matched under an older contract, which does not have this column like this")
		}
		slot, _ := s.snapshot.Prepared.Contract.SlotOf(name)
		return i, column, slot, nil
	}
	return 0, nil, "", fault("", "the query has no dataset of this name")
}

func (q *Question) addFilter(p *Predicate) error {
	place, column, slot, err := q.find(p.Column)
	if err != nil {
		return within("col", err)
	}
	s := &q.sources[place]
	switch {
	case column.Role == Measure:
		return fault("/col", "measures are computed, and limit nothing")
	case column.Role == Hidden && !q.template:
		return fault("/col", "this column is there for templates alone")
	case slices.ContainsFunc(s.filters, func(f filter) bool { return f.column == column }):
		return fault("/col", "this column is limited already")
	}
	f := filter{column: column, slot: slot}
	if column.Type == Day {
		err = f.readSpan(p)
	} else {
		err = f.readWords(p)
	}
	if err != nil {
		return err
	}
	prepared, _ := s.snapshot.Prepared.Contract.Column(column.Name) // which find has found
	f.whole = f.holdsAll(prepared)
	s.filters = append(s.filters, f)
	slices.SortFunc(s.filters, func(a, b filter) int { return strings.Compare(a.column.Name, b.column.Name) })
	return nil
}

// holdsAll reports whether every value passes that a snapshot can have under a contract.
func (f *filter) holdsAll(prepared *Column) bool {
	if f.column.Type != Day {
		return len(f.places) == len(f.column.Domain) // the domains are the same
	}
	first, _ := parseDay(prepared.First) // of a contract, which was checked
	last, _ := parseDay(prepared.Last)
	return f.from <= first && last <= f.to
}

func (f *filter) readWords(p *Predicate) error {
	if p.Operator == opBetween {
		return fault("/op", "words have no order: this is \"=\" or \"in\"")
	}
	words, err := p.words()
	if err != nil {
		return err
	}
	for i, word := range words {
		pointer := "/val"
		if p.Operator == opIn {
			pointer = fmt.Sprintf("/val/%d", i)
		}
		place := int64(slices.Index(f.column.Domain, word))
		if place < 0 {
			return fault(pointer, "this is not in the column's domain")
		}
		if slices.Contains(f.places, place) {
			return fault(pointer, "this word is there already")
		}
		f.places = append(f.places, place)
	}
	slices.Sort(f.places)
	return nil
}

func (f *filter) readSpan(p *Predicate) (err error) {
	if p.Operator != opBetween {
		return fault("/op", `days are limited by "between"`)
	}
	if f.from, f.to, err = p.span(); err != nil {
		return err
	}
	first, _ := parseDay(f.column.First)
	last, _ := parseDay(f.column.Last)
	switch grid := f.column.Grid; {
	case f.from < first || f.from > last:
		return fault("/val/0", "this is outside the column's domain")
	case f.to < first || f.to > last:
		return fault("/val/1", "this is outside the column's domain")
	case f.to < f.from:
		return fault("/val/1", "this is before the first day")
	case !grid.begins(f.from):
		return fault("/val/0", "this must be the first day of a "+string(grid))
	case !grid.begins(f.to + 1):
		return fault("/val/1", "this must be the last day of a "+string(grid))
	}
	return nil
}

func (q *Question) addKey(name string) error {
	place, column, slot, err := q.find(name)
	if err != nil {
		return err
	}
	k := key{name: q.query.names(name), source: place, slot: slot, column: column}
	switch {
	case column.Role != Dimension:
		return fault("", "groups are made by dimensions alone")
	case column.Type != Enum:
		return fault("", "groups are made by words; days limit them")
	case slices.ContainsFunc(q.keys, func(other key) bool { return other.name == k.name }):
		return fault("", "this column is there already")
	}
	q.keys = append(q.keys, k)
	return nil
}

func (q *Question) addMetric(m *Metric) error {
	if m.Function == People {
		return nil // which every answer has
	}
	place, column, slot, err := q.find(m.Column)
	if err != nil {
		return within("col", err)
	}
	if column.Role != Measure {
		return fault("/col", "only measures are computed")
	}
	if !slices.Contains(column.Functions, m.Function) {
		return fault("/fn", "the contract does not allow this function of this column")
	}
	name, bins := q.query.names(m.Column), m.Function == Histogram
	i := slices.IndexFunc(q.measures, func(other measure) bool { return other.name == name && other.bins == bins })
	if i < 0 {
		i = len(q.measures)
		q.measures = append(q.measures, measure{name: name, source: place, slot: slot, column: column, bins: bins})
	}
	q.metrics = append(q.metrics, metric{function: m.Function, name: string(m.Function) + "(" + name + ")", measure: i})
	return nil
}

// finish brings the parts into their one order and checks what depends on all of them.
func (q *Question) finish() error {
	slices.SortFunc(q.keys, func(a, b key) int { return strings.Compare(a.name, b.name) })
	order := slices.Clone(q.measures)
	slices.SortFunc(order, func(a, b measure) int {
		if c := strings.Compare(a.name, b.name); c != 0 || a.bins == b.bins {
			return c
		} else if b.bins {
			return -1
		}
		return 1
	})
	for i := range q.metrics {
		old := q.measures[q.metrics[i].measure]
		q.metrics[i].measure = slices.IndexFunc(order, func(m measure) bool { return m.name == old.name && m.bins == old.bins })
	}
	q.measures = order
	slices.SortFunc(q.metrics, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	q.metrics = slices.Insert(q.metrics, 0, metric{function: People, name: string(People), measure: -1})
	q.size = 1
	for i := range q.keys {
		if q.size *= len(q.keys[i].column.Domain); q.size > maximumGroups {
			return fault("/group_by", fmt.Sprintf("these would be more than %d groups", maximumGroups))
		}
	}
	numbers := 0
	for i := range q.metrics {
		if numbers++; q.metrics[i].function == Histogram {
			numbers += len(q.measures[q.metrics[i].measure].column.Bins)
		}
	}
	if numbers*q.size > maximumNumbers {
		return fault("/metrics", fmt.Sprintf("these would be more than %d numbers in all groups", maximumNumbers))
	}
	if q.query.Privacy.MaxGroupsPerPerson > q.Rule.MaxGroupsPerPerson {
		return fault("/privacy/max_groups_per_person", fmt.Sprintf("the contracts allow %d", q.Rule.MaxGroupsPerPerson))
	}
	q.groups = min(q.query.Privacy.MaxGroupsPerPerson, q.size)
	return nil
}

// Datasets returns which datasets the question touches, sorted.
func (q *Question) Datasets() []DatasetRef {
	refs := make([]DatasetRef, len(q.sources))
	for i := range q.sources {
		refs[i] = q.sources[i].ref
	}
	return refs
}

// Snapshots returns which snapshots the question is about, in the order of the datasets.
func (q *Question) Snapshots() []SnapshotID {
	ids := make([]SnapshotID, len(q.sources))
	for i := range q.sources {
		ids[i] = q.sources[i].snapshot.ID
	}
	return ids
}

// NoisePeople returns the standard deviation of the noise, in people, that was asked for: by the
// query, or by the template that it follows.
func (q *Question) NoisePeople() int { return q.query.Privacy.NoisePeople }

// IsBare reports whether the question is about one group and computes nothing of its people.
func (q *Question) IsBare() bool { return len(q.keys) == 0 && len(q.measures) == 0 }

// Cost returns what an answer costs each dataset: nothing in a room without noise.
func (q *Question) Cost() Rho {
	if q.room.Mode == ThresholdOnly {
		return 0
	}
	return Rho(noise.Cost(1+len(q.measures), q.groups, q.query.Privacy.NoisePeople))
}

// CheckCost refuses a question that costs more than one may, and says how much noise would do.
func (q *Question) CheckCost(most Rho) error {
	if q.Cost() <= most {
		return nil
	}
	needed := int(math.Ceil(math.Sqrt(float64(1+len(q.measures)) * float64(q.groups) * float64(OneRho) / 2 / float64(most))))
	for noise.Cost(1+len(q.measures), q.groups, needed) > int64(most) {
		needed++
	}
	return fault("/privacy/noise_people", fmt.Sprintf("this question costs more than one question may: it takes noise of %d people", needed))
}
