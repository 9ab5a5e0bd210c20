package cleanroom

import "slices"

// Passes reports whether somebody is among those whom the question is about who has so many
// rows in each of its datasets, with such numbers in the columns. Numbers are drawn at random by
// the caller; each stands for a word or a day of the column's domain, all alike.
func (q *Question) Passes(rows func(dataset DatasetRef, source Source) int, drawn func(dataset DatasetRef, row int, column string) uint64) bool {
	for i := range q.sources {
		s := &q.sources[i]
		found := false
		for row := 0; row < rows(s.ref, s.contract.Contract.Source) && !found; row++ {
			found = !slices.ContainsFunc(s.filters, func(f filter) bool { return !f.passes(drawn(s.ref, row, f.column.Name)) })
		}
		if !found {
			return false
		}
	}
	return true
}

// Whom returns whom the question is about, in one way in which it can be said: what is asked of them
// is in it, and how much noise there is to be in the answer is not.
func (q *Question) Whom() []byte {
	without, query := *q, *q.query
	query.Privacy.NoisePeople = 0
	without.query = &query
	return without.Canonical()
}

// passes reports whether a row passes for whose value a number stands.
func (f *filter) passes(drawn uint64) bool {
	if f.whole {
		return true
	}
	if f.column.Type != Day {
		return slices.Contains(f.places, int64(drawn%uint64(len(f.column.Domain))))
	}
	first, _ := parseDay(f.column.First) // of a contract, which was checked
	last, _ := parseDay(f.column.Last)
	day := first + int64(drawn%uint64(last-first+1))
	return f.from <= day && day <= f.to
}
