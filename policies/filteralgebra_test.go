package policies

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
)

var algebraFields = map[Field][]string{
	FieldAge:       {"child", "youth", "adult", "unknown"},
	FieldState:     {"granted", "withdrawn", "never_asked"},
	FieldHousehold: {"single", "shared", "unknown"},
}

// randomTree builds a filter out of joins, and beside it the plain meaning of it.
func randomTree(random *rand.Rand, depth int) (Filter, func(*Facts) bool) {
	if depth == 0 || random.IntN(4) == 0 {
		field := []Field{FieldAge, FieldState, FieldHousehold}[random.IntN(3)]
		c := Condition{Op: In + ConditionOp(random.IntN(2)), Field: field}
		for _, value := range algebraFields[field] {
			if random.IntN(2) == 0 {
				c.Values = append(c.Values, value)
			}
		}
		return where(c), func(f *Facts) bool { return c.Match(f) }
	}
	var filters []Filter
	var meanings []func(*Facts) bool
	for range random.IntN(4) {
		filter, meaning := randomTree(random, depth-1)
		filters, meanings = append(filters, filter), append(meanings, meaning)
	}
	all := random.IntN(2) == 0
	join := anyOf
	if all {
		join = allOf
	}
	return join(filters), func(f *Facts) bool {
		for _, meaning := range meanings {
			if meaning(f) != all {
				return !all
			}
		}
		return all
	}
}

// TestSimplifyingChangesNobody compares joined and simplified filters with their plain
// meaning, for everybody.
func TestSimplifyingChangesNobody(t *testing.T) {
	t.Parallel()
	random, kinds, smaller := rand.New(rand.NewPCG(15, 16)), map[FilterKind]int{}, 0
	for range 20_000 {
		filter, meaning := randomTree(random, 3)
		simple := simplify(filter)
		kinds[simple.Kind]++
		for _, age := range algebraFields[FieldAge] {
			for _, state := range algebraFields[FieldState] {
				for _, household := range algebraFields[FieldHousehold] {
					var f Facts
					f.Subject.Age, f.Consent.State, f.Subject.Household = AgeGroup(age), ConsentState(state), Household(household)
					if want := meaning(&f); filter.Match(&f) != want || simple.Match(&f) != want {
						before, _ := json.Marshal(filter.Where)
						after, _ := json.Marshal(simple.Where)
						t.Fatalf("%s %s %s: want %v, joined %v, simplified %v\n%s\n%s",
							age, state, household, want, filter.Match(&f), simple.Match(&f), before, after)
					}
				}
			}
		}
		if leaves(filter.Where) > leaves(simple.Where) {
			smaller++
		}
	}
	t.Logf("kinds %v, %d made smaller", kinds, smaller)
	if kinds[FilterNone] == 0 || kinds[FilterAll] == 0 || kinds[FilterWhere] < 5000 || smaller < 300 {
		t.Error("want a fair mix")
	}
}

func leaves(c *Condition) int {
	if c == nil {
		return 0
	}
	if c.Op == In || c.Op == NotIn {
		return 1
	}
	n := 0
	for i := range c.Terms {
		n += leaves(&c.Terms[i])
	}
	return n
}
