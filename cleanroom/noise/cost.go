package noise

import (
	"math"
	"math/big"
)

// nano is how losses are written: in billionths.
const nano = 1_000_000_000

// Cost returns, in billionths and rounded up, what a question costs with so many noisy
// terms (the people of each group, and each sum and histogram of them), when one person is
// in up to so many groups and the noise is that of so many people:
//
//	terms · groups / (2 · noise²)
//
// One person moves each term by one clamp in each of their groups, and each term has a
// standard deviation of noise clamps. It panics unless all three are positive.
func Cost(terms, groups, noisePeople int) int64 {
	if terms <= 0 || groups <= 0 || noisePeople <= 0 {
		panic("noise: a cost of nothing")
	}
	above := new(big.Int).Mul(big.NewInt(int64(terms)), big.NewInt(int64(groups)))
	above.Mul(above, big.NewInt(nano))
	below := new(big.Int).Mul(big.NewInt(int64(noisePeople)), big.NewInt(int64(noisePeople)))
	below.Lsh(below, 1)
	cost, rest := above.QuoRem(above, below, new(big.Int))
	if rest.Sign() > 0 {
		cost.Add(cost, big.NewInt(1))
	}
	if !cost.IsInt64() {
		return math.MaxInt64 // which no budget has
	}
	return cost.Int64()
}

// SumSigma returns the standard deviation of a sum to which one person adds between lo and
// hi: the noise in people, each of them adding the most that they can.
func SumSigma(noisePeople int, lo, hi int64) float64 {
	return float64(noisePeople) * max(math.Abs(float64(lo)), math.Abs(float64(hi)))
}

// marginZ is the 95 % quantile of the normal distribution, rounded up.
const marginZ = 1.645

// Margin returns by how much the noisy number of people must exceed the least that a group
// must have: a group of fewer people is then told with a probability of at most 5 %.
func Margin(noisePeople int) int64 { return int64(math.Ceil(marginZ * float64(noisePeople))) }

// Accuracy returns how often somebody is right at most, who knows everything but whether
// one person is in the data, holds both for equally likely, and got answers for a loss of
// rho billionths: Φ(√(rho/2)).
func Accuracy(rho int64) float64 {
	root := math.Sqrt(float64(max(0, rho)) / nano / 2)
	return 0.5 * math.Erfc(-root/math.Sqrt2)
}

// Epsilon returns the epsilon of an (epsilon, delta) guarantee that a loss of rho
// billionths brings: rho + 2√(rho·ln(1/delta)) (Bun and Steinke 2016, proposition 1.3).
func Epsilon(rho int64, delta float64) float64 {
	r := float64(max(0, rho)) / nano
	return r + 2*math.Sqrt(r*math.Log(1/delta))
}
