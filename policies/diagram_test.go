package policies

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestDiagramsAreSets compares every operation with sets of cells written out.
func TestDiagramsAreSets(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(21, 22))
	sizes := []int{2, 3, 1, 4}
	var cells [][]int
	for n := range 2 * 3 * 1 * 4 {
		cells = append(cells, []int{n / 12, n / 4 % 3, 0, n % 4})
	}
	for range 300 {
		d := newDiagrams(sizes)
		draw := func() (diagram, []bool) {
			set := make([]bool, len(cells))
			built := nothing
			for i, cell := range cells {
				if set[i] = random.IntN(3) == 0; set[i] {
					one := everything
					for field, value := range cell {
						one = d.and(one, d.values(field, func(v int) bool { return v == value }))
					}
					built = d.or(built, one)
				}
			}
			return built, set
		}
		a, inA := draw()
		b, inB := draw()
		field, value := random.IntN(4), 0
		value = random.IntN(sizes[field])
		some := func(cell []int) bool {
			for i, other := range cells {
				same := true
				for f := range cell {
					same = same && (f == field || cell[f] == other[f])
				}
				if same && inA[i] {
					return true
				}
			}
			return false
		}
		fixed := func(cell []int) bool {
			moved := slices.Clone(cell)
			moved[field] = value
			return d.holds(a, moved)
		}
		members := int64(0)
		for i, cell := range cells {
			for what, pair := range map[string][2]bool{
				"a": {d.holds(a, cell), inA[i]}, "and": {d.holds(d.and(a, b), cell), inA[i] && inB[i]},
				"or": {d.holds(d.or(a, b), cell), inA[i] || inB[i]}, "without": {d.holds(d.without(a, b), cell), inA[i] && !inB[i]},
				"not": {d.holds(d.not(a), cell), !inA[i]}, "fix": {d.holds(d.fix(a, field, value), cell), fixed(cell)},
				"forget": {d.holds(d.forget(a, func(f int) bool { return f == field }), cell), some(cell)},
			} {
				if pair[0] != pair[1] {
					t.Fatalf("%s at %v: %v, want %v", what, cell, pair[0], pair[1])
				}
			}
			if inA[i] {
				members++
			}
		}
		if d.count(a).Cmp(big.NewInt(members)) != 0 {
			t.Fatalf("count %v, want %d", d.count(a), members)
		}
		again, covered := nothing, new(big.Int)
		for _, box := range d.boxes(a) {
			one := everything
			for f, values := range box {
				one = d.and(one, d.values(f, func(v int) bool { return slices.Contains(values, v) }))
			}
			again = d.or(again, one)
			covered.Add(covered, d.count(one))
		}
		if again != a || covered.Cmp(d.count(a)) != 0 {
			t.Fatalf("the boxes are not disjoint or not the set: %d and %d, %v and %v", again, a, covered, d.count(a))
		}
	}
}
