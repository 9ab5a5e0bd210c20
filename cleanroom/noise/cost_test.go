package noise

import (
	"math"
	"testing"
)

func TestCost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terms, groups, people int
		want                  int64
	}{
		{1, 1, 10, 5_000_000},
		{1, 1, 20, 1_250_000},
		{2, 1, 20, 2_500_000},
		{3, 4, 20, 15_000_000},
		{1, 1, 30, 555_556}, // 555,555.56 is rounded up
		{1, 1, 1_000_000_000, 1},
		{math.MaxInt, math.MaxInt, 1, math.MaxInt64}, // more than any budget
	} {
		if got := Cost(c.terms, c.groups, c.people); got != c.want {
			t.Errorf("Cost(%d, %d, %d) = %d, want %d", c.terms, c.groups, c.people, got, c.want)
		}
	}
}

// Nothing is free, and more questions never cost less.
func TestCostGrows(t *testing.T) {
	t.Parallel()
	for terms := 1; terms < 6; terms++ {
		for groups := 1; groups < 6; groups++ {
			for people := 10; people < 2000; people += 7 {
				cost := Cost(terms, groups, people)
				if cost <= 0 || cost > Cost(terms+1, groups, people) || cost < Cost(terms, groups, people+1) {
					t.Fatalf("Cost(%d, %d, %d) = %d", terms, groups, people, cost)
				}
				exact := float64(terms) * float64(groups) * nano / (2 * float64(people) * float64(people))
				if float64(cost) < exact-1e-3 || float64(cost) >= exact+1.001 {
					t.Fatalf("Cost(%d, %d, %d) = %d, exactly it is %f", terms, groups, people, cost, exact)
				}
			}
		}
	}
}

// The figures of the literature that docs/cleanroom.md cites.
func TestAccuracy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rho  int64
		want float64
	}{{0, 0.5}, {147_300_000, 0.6069}, {385_300_000, 0.6697}, {1_353_000_000, 0.7946}, {5_000_000, 0.5199}} {
		if got := Accuracy(c.rho); math.Abs(got-c.want) > 0.001 {
			t.Errorf("Accuracy(%d) = %.4f, want %.4f", c.rho, got, c.want)
		}
	}
	if got := Epsilon(147_300_000, 1e-6); math.Abs(got-3) > 0.01 {
		t.Errorf("a loss of 0.1473 is an epsilon of %.3f at 1e-6, want 3", got)
	}
	if got, want := Margin(20), int64(33); got != want {
		t.Errorf("Margin(20) = %d, want %d", got, want)
	}
}
