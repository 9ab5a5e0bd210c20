package noise

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/differential-privacy/go/v3/noise"
)

// The library is told a loss; it must find the standard deviation that it is meant to.
func TestSigmaIsExact(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	sigmas := []int64{1, 2, 3, 10, 20, 1000, 999_999_937, MaxSigma}
	for range 2000 {
		sigmas = append(sigmas, 1+r.Int64N(1<<r.Int64N(55)))
	}
	for _, s := range sigmas {
		if got := noise.SigmaForGaussian(1, float64(s), calibrationEpsilon, calibrationDelta); got != float64(s) {
			t.Fatalf("the sampler draws with %f instead of %d", got, s)
		}
	}
}

// draws returns sorted noise of a sampler.
func draws(n int, draw func() int64) []int64 {
	drawn := make([]int64, n)
	for i := range drawn {
		drawn[i] = draw()
	}
	slices.Sort(drawn)
	return drawn
}

// phi is the normal distribution.
func phi(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// kolmogorov returns the largest distance between the distribution of drawn numbers and
// that of rounded normal ones, in units of 1/√n.
func kolmogorov(drawn []int64, sigma float64) float64 {
	var most float64
	n := float64(len(drawn))
	for i := 0; i < len(drawn); {
		j := i
		for j < len(drawn) && drawn[j] == drawn[i] {
			j++
		}
		x := float64(drawn[i])
		most = max(most, math.Abs(float64(i)/n-phi((x-0.5)/sigma)), math.Abs(float64(j)/n-phi((x+0.5)/sigma)))
		i = j
	}
	return most * math.Sqrt(n)
}

// chiSquare returns the statistic over bins of half a standard deviation from -3 to 3, and
// its degrees of freedom.
func chiSquare(drawn []int64, sigma float64) (statistic float64, degrees int) {
	var edges []float64
	for z := -3.0; z <= 3; z += 0.5 {
		edges = append(edges, math.Floor(z*sigma)+0.5) // between two whole numbers
	}
	counts := make([]float64, len(edges)+1)
	for _, x := range drawn {
		bin, _ := slices.BinarySearch(edges, float64(x))
		counts[bin]++
	}
	below := 0.0
	for i, count := range counts {
		upTo := 1.0
		if i < len(edges) {
			upTo = phi(edges[i] / sigma)
		}
		want := (upTo - below) * float64(len(drawn))
		statistic += (count - want) * (count - want) / want
		below = upTo
	}
	return statistic, len(counts) - 1
}

// chiSquareLimit is what the statistic exceeds about once in 10^11 times, with 13 degrees, if the
// numbers are what they should be (Wilson and Hilferty 1931). The noise of the product has no seed,
// so a sampler that is right must never be refused.
func chiSquareLimit(degrees int) float64 {
	k := float64(degrees)
	return k * math.Pow(1-2/(9*k)+6.5*math.Sqrt(2/(9*k)), 3)
}

// kolmogorovLimit is the same for the largest distance: 2·exp(-2·3.6²) is 1.1/10^11 (Massart 1990).
const kolmogorovLimit = 3.6

// samples is how many are drawn: so many that such limits find what is 1 % or 2 % off.
func samples() int {
	if testing.Short() {
		return 110_000
	}
	return 720_000
}

// The noise that is drawn is normal and has the standard deviation that was asked for.
func TestDistribution(t *testing.T) {
	t.Parallel()
	n := samples()
	for _, sigma := range []float64{10, 20, 1_000_000} {
		drawn := draws(n, func() int64 { return Secure{}.Gaussian(0, sigma) })
		if got := kolmogorov(drawn, sigma); got > kolmogorovLimit {
			t.Errorf("sigma %g: the distributions are %.2f/√n apart, at most it is %.2f", sigma, got, kolmogorovLimit)
		}
		if got, degrees := chiSquare(drawn, sigma); got > chiSquareLimit(degrees) {
			t.Errorf("sigma %g: chi-square is %.1f with %d degrees, at most it is %.1f", sigma, got, degrees, chiSquareLimit(degrees))
		}
	}
}

// The two tests notice what must not pass: too little noise, another shape, a shift, and a
// sampler with coarse steps.
func TestDistributionIsNoticed(t *testing.T) {
	t.Parallel()
	const n, sigma = 720_000, 20.0
	r := rand.New(rand.NewPCG(7, 7))
	normal := func() float64 { return r.NormFloat64() * sigma }
	for name, draw := range map[string]func() int64{
		"the noise is 3 % too little": func() int64 { return int64(math.Round(normal() * 0.97)) },
		"Laplace": func() int64 {
			return int64(math.Round((r.ExpFloat64() - r.ExpFloat64()) * sigma / math.Sqrt2))
		},
		"shifted by half a person": func() int64 { return int64(math.Round(normal() + 0.5)) },
		"even numbers":             func() int64 { return 2 * int64(math.Round(normal()/2)) },
		"no tails":                 func() int64 { return int64(math.Round(min(max(normal(), -2.5*sigma), 2.5*sigma))) },
	} {
		drawn := draws(n, draw)
		chi, degrees := chiSquare(drawn, sigma)
		if distance := kolmogorov(drawn, sigma); distance <= kolmogorovLimit && chi <= chiSquareLimit(degrees) {
			t.Errorf("%s goes unnoticed: distance %.2f, chi-square %.1f", name, distance, chi)
		}
	}
	drawn := draws(n, func() int64 { return int64(math.Round(normal())) })
	if chi, degrees := chiSquare(drawn, sigma); kolmogorov(drawn, sigma) > kolmogorovLimit || chi > chiSquareLimit(degrees) {
		t.Error("proper noise is refused")
	}
}

// One draw says nothing about the next one.
func TestDrawsAreIndependent(t *testing.T) {
	t.Parallel()
	n := samples() / 3
	const sigma = 20.0
	var products, last float64
	for range n {
		x := float64(Secure{}.Gaussian(0, sigma)) / sigma
		products += x * last
		last = x
	}
	if got := products / math.Sqrt(float64(n)); math.Abs(got) > 7 { // once in 10^11 times
		t.Errorf("neighbours correlate with %.1f standard errors", got)
	}
}

func TestGaussianStaysInRange(t *testing.T) {
	t.Parallel()
	for range 200 {
		if got := (Secure{}).Gaussian(math.MaxInt64, 1e9); got < math.MaxInt64-1e11 {
			t.Fatalf("the largest number became %d", got)
		}
		if got := (Secure{}).Gaussian(math.MinInt64, 1e9); got > math.MinInt64+1e11 {
			t.Fatalf("the smallest number became %d", got)
		}
	}
}

func TestGaussianNeedsNoise(t *testing.T) {
	t.Parallel()
	for _, sigma := range []float64{0, -1, math.NaN(), math.Inf(1), 2 * MaxSigma} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("a number came out with a standard deviation of %g", sigma)
				}
			}()
			Secure{}.Gaussian(1, sigma)
		}()
	}
}

func BenchmarkGaussian(b *testing.B) {
	for b.Loop() {
		Secure{}.Gaussian(0, 20)
	}
}
