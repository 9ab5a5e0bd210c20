package noise

import (
	"fmt"
	"math"

	"github.com/google/differential-privacy/go/v3/noise"
)

// The library is asked for a loss and computes the noise. With this epsilon and delta it
// finds a standard deviation of exactly the sensitivity it is told: the least one that
// would do is 0.9995 of it, and the search, which begins at the sensitivity and ends within a
// thousandth, does not move. Since it searches by doubling and halving, that holds for
// every whole sensitivity (a test looks at many), so any whole standard deviation can be
// asked for. What a question costs is computed from the standard deviation, see [Cost];
// these two numbers say nothing about anybody's loss.
const (
	calibrationEpsilon = 4.8895
	calibrationDelta   = 1e-6
)

// MaxSigma is the largest standard deviation: up to there the library's steps are finer
// than a whole number.
const MaxSigma = 1 << 55

// Secure draws from the sampler of google/differential-privacy: randomness of the system,
// steps of a power of two, no trace of the value in the low bits. How long a draw takes
// depends on what is drawn, so answers must not show the time they took. The zero value is
// ready, and safe for concurrent use.
type Secure struct{}

// Gaussian returns x with noise whose standard deviation is sigma, rounded up to a whole
// number. At the ends of the whole numbers it stays there.
//
// It panics unless sigma is positive and at most [MaxSigma]: a number without noise must not
// come out of here.
func (Secure) Gaussian(x int64, sigma float64) int64 {
	s := whole(sigma)
	drawn, err := noise.Gaussian().AddNoiseInt64(0, 1, s, calibrationEpsilon, calibrationDelta)
	if err != nil {
		panic(fmt.Sprintf("noise: drawing: %v", err))
	}
	return add(x, drawn)
}

// whole returns sigma as the sampler is asked for it.
func whole(sigma float64) int64 {
	if !(sigma > 0 && sigma <= MaxSigma) {
		panic("noise: a standard deviation must be positive and finite")
	}
	return int64(math.Ceil(sigma))
}

// add returns x+y, or the end of the whole numbers that it would pass.
func add(x, y int64) int64 {
	sum := x + y
	switch {
	case x > 0 && y > 0 && sum < 0:
		return math.MaxInt64
	case x < 0 && y < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}
