package noise

import (
	"math"
	"math/rand/v2"
	"testing"
)

const trials = 20_000

// atLeast fails if intervals hold the truth less often than they say, by more than chance
// explains (five standard errors).
func atLeast(t *testing.T, what string, hits int) {
	t.Helper()
	share := float64(hits) / trials
	if limit := 0.95 - 5*math.Sqrt(0.95*0.05/trials); share < limit {
		t.Errorf("%s: %.2f %% of the intervals hold the truth, at least it is %.2f %%", what, 100*share, 100*limit)
	}
}

func TestInterval(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 1))
	const sigma = 20.0
	hits := 0
	for range trials {
		truth := r.Int64N(5000)
		low, high := Interval(truth+int64(math.Round(r.NormFloat64()*sigma)), sigma)
		if low <= truth && truth <= high {
			hits++
		}
	}
	atLeast(t, "people", hits)
	if share := float64(hits) / trials; share > 0.965 {
		t.Errorf("the intervals are wider than they say: %.3f", share)
	}
	if low, high := Interval(-3, 10); low != -23 || high != 17 {
		t.Errorf("Interval(-3, 10) = %d, %d", low, high)
	}
	if low, high := Interval(math.MaxInt64, 1e18); high != math.MaxInt64 || low > high {
		t.Errorf("the interval at the end is %d, %d", low, high)
	}
}

// people of a group who each add between lo and hi.
func people(r *rand.Rand, n int, lo, hi int64) (sum, count int64) {
	for range n {
		sum += lo + r.Int64N(hi-lo+1)
	}
	return sum, int64(n)
}

func noisy(r *rand.Rand, x int64, sigma float64) Noisy {
	return Noisy{Value: x + int64(math.Round(r.NormFloat64()*sigma)), Sigma: sigma}
}

func TestAverage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n      int
		lo, hi int64
	}{{120, 0, 5000}, {1000, 0, 5000}, {400, -300, 200}, {90, 10, 20}, {3, 0, 100}, {300, -50, -40}} {
		r := rand.New(rand.NewPCG(4, uint64(c.n)))
		hits := 0
		const noise = 20
		var width float64
		for range trials {
			sum, count := people(r, c.n, c.lo, c.hi)
			average, low, high := Average(noisy(r, sum, SumSigma(noise, c.lo, c.hi)), noisy(r, count, noise), c.lo, c.hi)
			if average < c.lo || average > c.hi || low < c.lo || high > c.hi || low > high {
				t.Fatalf("the average is %d in [%d, %d], outside of [%d, %d]", average, low, high, c.lo, c.hi)
			}
			if truth := float64(sum) / float64(count); float64(low) <= truth && truth <= float64(high) {
				hits++
			}
			width += float64(high-low) / trials
		}
		atLeast(t, "average", hits)
		if c.n == 1000 && width > 1000 {
			t.Errorf("the intervals of the average of a thousand people are %.0f wide", width)
		}
	}
}

func TestUplift(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, out, lift int }{{500, 2000, 0}, {500, 2000, 800}, {120, 150, 300}, {2000, 100, 0}} {
		r := rand.New(rand.NewPCG(5, uint64(c.in+c.lift)))
		const noise, hi = 15, 5000
		sigma := SumSigma(noise, 0, hi)
		var hits, apart int
		for range trials {
			sumIn, in := people(r, c.in, int64(c.lift), hi)
			sumOut, out := people(r, c.out, 0, hi)
			d := Uplift(noisy(r, sumIn, sigma), noisy(r, in, noise), noisy(r, sumIn+sumOut, sigma), noisy(r, in+out, noise), 0, hi)
			truth := float64(sumIn)/float64(in) - float64(sumOut)/float64(out)
			if float64(d.Low) <= truth && truth <= float64(d.High) {
				hits++
			}
			if d.Low > 0 || d.High < 0 {
				apart++
			}
			if d.Value != d.Inside-d.Outside || d.Low > d.High {
				t.Fatalf("%+v", d)
			}
		}
		atLeast(t, "uplift", hits)
		if c.lift == 0 && apart > trials/20 {
			t.Errorf("of %d groups without a difference %d seem to have one", trials, apart)
		}
	}
}

func TestDivide(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ x, by, rounded, down int64 }{
		{7, 2, 4, 3},
		{-7, 2, -4, -4},
		{6, 4, 2, 1},
		{5, 4, 1, 1},
		{-5, 4, -1, -2},
		{0, 9, 0, 0},
		{math.MaxInt64, math.MaxInt64, 1, 1},
		{math.MinInt64 + 1, math.MaxInt64, -1, -1},
		{math.MaxInt64 - 1, math.MaxInt64, 1, 0},
	} {
		if got := divide(c.x, c.by); got != c.rounded {
			t.Errorf("divide(%d, %d) = %d, want %d", c.x, c.by, got, c.rounded)
		}
		if got := floor(c.x, c.by); got != c.down {
			t.Errorf("floor(%d, %d) = %d, want %d", c.x, c.by, got, c.down)
		}
	}
}
