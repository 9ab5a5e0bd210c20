package roomtest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/roomtest"
	"github.com/mahrem/mahrem/privacy"
)

// row of a dimension and a measure.
func row(match, d, m int64) roomtest.Row {
	r := roomtest.Row{Match: match}
	r.D[0], r.M[0] = d, m
	return r
}

// Three people bought; two of them are in the other dataset as well, one of those twice.
func twoSnapshots() *roomtest.Executor {
	return &roomtest.Executor{Snapshots: map[cleanroom.SnapshotID][]roomtest.Row{
		1: {row(1, 0, 10), row(1, 0, 200), row(1, 1, 5), row(2, 1, 7), row(3, 1, -4), row(3, 9, 1)},
		2: {row(1, 0, 0), row(1, 1, 0), row(2, 0, 0), row(4, 0, 0)},
	}}
}

func TestExecutor(t *testing.T) {
	t.Parallel()
	spend := cleanroom.PlanMeasure{Source: 0, Slot: "m1", Lo: 0, Hi: 100}
	bought := cleanroom.PlanKey{Source: 0, Slot: "d1", Size: 2}
	segment := cleanroom.PlanKey{Source: 1, Slot: "d1", Size: 2}
	for name, c := range map[string]struct {
		plan cleanroom.Plan
		want []cleanroom.Group
	}{
		"everybody, clamped": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}}, Measures: []cleanroom.PlanMeasure{spend}},
			[]cleanroom.Group{{Key: []int{}, People: 3, Sums: []int64{107}, Bins: [][]int64{nil}}},
		},
		"by what they bought; a value outside of the domain is in no group": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}}, Keys: []cleanroom.PlanKey{bought}, Measures: []cleanroom.PlanMeasure{spend}},
			[]cleanroom.Group{
				{Key: []int{0}, People: 1, Sums: []int64{100}, Bins: [][]int64{nil}},
				{Key: []int{1}, People: 3, Sums: []int64{12}, Bins: [][]int64{nil}},
			},
		},
		"filtered": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1, Filters: []cleanroom.PlanFilter{
				{Slot: "d1", Values: []int64{1, 9}}, {Slot: "m1", Lo: -4, Hi: 5},
			}}}, Measures: []cleanroom.PlanMeasure{{Slot: "m1", Lo: -10, Hi: 10}}},
			[]cleanroom.Group{{Key: []int{}, People: 2, Sums: []int64{2}, Bins: [][]int64{nil}}},
		},
		"two rows on the other side do not count twice": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}, {Snapshot: 2}}, Measures: []cleanroom.PlanMeasure{spend}},
			[]cleanroom.Group{{Key: []int{}, People: 2, Sums: []int64{107}, Bins: [][]int64{nil}}},
		},
		"the spend of the one by the segment of the other": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}, {Snapshot: 2}}, Keys: []cleanroom.PlanKey{segment}, Measures: []cleanroom.PlanMeasure{spend}},
			[]cleanroom.Group{
				{Key: []int{0}, People: 2, Sums: []int64{107}, Bins: [][]int64{nil}},
				{Key: []int{1}, People: 1, Sums: []int64{100}, Bins: [][]int64{nil}},
			},
		},
		"bins": {
			cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}}, Measures: []cleanroom.PlanMeasure{
				{Slot: "m1", Lo: 0, Hi: 100, Edges: []int64{7, 100}}, spend,
			}},
			[]cleanroom.Group{{Key: []int{}, People: 3, Sums: []int64{0, 107}, Bins: [][]int64{{1, 1, 1}, nil}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := twoSnapshots().Run(t.Context(), "r", &c.plan)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// One person counts in as many groups as they may, and in the same ones each time.
func TestExecutorBoundsGroups(t *testing.T) {
	t.Parallel()
	var rows []roomtest.Row
	for match := int64(1); match <= 50; match++ {
		for d := int64(0); d < 6; d++ {
			rows = append(rows, row(match, d, 1))
		}
	}
	executor := &roomtest.Executor{Snapshots: map[cleanroom.SnapshotID][]roomtest.Row{1: rows}}
	plan := cleanroom.Plan{
		Sources: []cleanroom.PlanSource{{Snapshot: 1}}, Keys: []cleanroom.PlanKey{{Slot: "d1", Size: 6}},
		Measures: []cleanroom.PlanMeasure{{Slot: "m1", Lo: 0, Hi: 1}}, MaxGroups: 2, Seed: 5,
	}
	first, err := executor.Run(t.Context(), "r", &plan)
	if err != nil {
		t.Fatal(err)
	}
	var people, sums int64
	for _, group := range first {
		people += group.People
		sums += group.Sums[0]
	}
	if people != 100 || sums != 100 {
		t.Errorf("50 people in 2 groups each count %d times and add %d", people, sums)
	}
	if len(first) != 6 {
		t.Errorf("people are in %d groups together; they are drawn for each person", len(first))
	}
	again, err := executor.Run(t.Context(), "r", &plan)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same plan gives something else:\n%s", diff)
	}
}

func TestExecutorFault(t *testing.T) {
	t.Parallel()
	executor, broken := twoSnapshots(), errors.New("division by zero")
	executor.Fault = func(*cleanroom.Plan, []cleanroom.Group) error { return broken }
	if _, err := executor.Run(t.Context(), "r", &cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 1}}}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if _, err := executor.Run(t.Context(), "r", &cleanroom.Plan{Sources: []cleanroom.PlanSource{{Snapshot: 7}}}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a snapshot that is not there: %v", err)
	}
}
