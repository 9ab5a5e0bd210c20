package noise

import "math"

// Confidence is how often, of a hundred, the true number is within an interval. It counts
// all answers; among those that are told because their group seemed large enough, small
// groups seem larger than they are.
const Confidence = 95

// The quantiles of the normal distribution for intervals that hold together: if one number
// is told, 95 %; if two must both be within theirs, 97.5 % each; and so on.
var (
	zOne  = quantile(1)
	zTwo  = quantile(2)
	zFour = quantile(4)
)

// quantile returns how many standard deviations each of n intervals extends to either side,
// if all of them are to hold at once with [Confidence].
func quantile(n float64) float64 {
	return math.Sqrt2 * math.Erfinv(1-(1-Confidence/100.0)/n)
}

// Interval returns the interval around a noisy number that holds the true one with
// [Confidence]. The noisy number is the one that was drawn, not one cut off at zero.
func Interval(noisy int64, sigma float64) (low, high int64) { return around(noisy, sigma, zOne) }

// around returns noisy ± z·sigma, rounded outwards.
func around(noisy int64, sigma, z float64) (low, high int64) {
	reach := int64(math.Ceil(min(z*sigma, math.MaxInt64/2)))
	return add(noisy, -reach), add(noisy, reach)
}

// Noisy is a number as it was drawn, and the standard deviation of its noise.
type Noisy struct {
	Value int64
	Sigma float64
}

// minus returns the difference of two numbers whose noise is independent.
func (n Noisy) minus(other Noisy) Noisy {
	return Noisy{Value: add(n.Value, -other.Value), Sigma: math.Hypot(n.Sigma, other.Sigma)}
}

// Average returns what one person adds to a sum on average, rounded, with an interval that
// holds the true average with at least [Confidence] if there is anybody at all. One person
// adds between lo and hi, so nothing is outside of it.
//
// The interval is wide rather than wrong: the sum and the people are each in an interval
// of 97.5 %, and the average is in that of all their quotients.
func Average(sum, people Noisy, lo, hi int64) (average, low, high int64) {
	low, high = quotients(sum, people, lo, hi, zTwo)
	return min(max(divide(sum.Value, max(1, people.Value)), lo), hi), low, high
}

// quotients returns the interval of all quotients when both numbers are within z standard
// deviations. There is one person at least, or there is no average.
func quotients(sum, people Noisy, lo, hi int64, z float64) (low, high int64) {
	least, most := around(people.Value, people.Sigma, z)
	least, most = max(1, least), max(1, most)
	from, to := around(sum.Value, sum.Sigma, z)
	if from < 0 {
		low = floor(from, least)
	} else {
		low = floor(from, most)
	}
	if to < 0 {
		high = -floor(-to, most)
	} else {
		high = -floor(-to, least)
	}
	// Far from the truth the two can miss [lo, hi] altogether; an interval stays one.
	return min(max(low, lo), hi), max(min(high, hi), lo)
}

// Difference is what two groups differ in.
type Difference struct {
	Inside, Outside       int64 // averages a person
	Value, Low, High      int64 // Inside - Outside
	PeopleIn, PeopleOut   int64 // not below zero
	LowestIn, HighestIn   int64 // the interval of Inside
	LowestOut, HighestOut int64 // the interval of Outside
}

// Uplift compares the average of a group with that of everybody else, from the numbers of
// the group and those of everybody. It costs nothing: it is computed from what was told
// already. The interval of the difference holds the true one with at least [Confidence];
// the four numbers under it are each in an interval of 98.75 %.
//
// A difference is no effect: whoever chose the group may have chosen those who would have
// bought anyway.
func Uplift(sum, people, sumOfAll, allPeople Noisy, lo, hi int64) Difference {
	restSum, rest := sumOfAll.minus(sum), allPeople.minus(people)
	d := Difference{PeopleIn: max(0, people.Value), PeopleOut: max(0, rest.Value)}
	d.Inside, d.LowestIn, d.HighestIn = Average(sum, people, lo, hi)
	d.Outside, d.LowestOut, d.HighestOut = Average(restSum, rest, lo, hi)
	d.Value = add(d.Inside, -d.Outside)
	fromIn, toIn := quotients(sum, people, lo, hi, zFour)
	fromOut, toOut := quotients(restSum, rest, lo, hi, zFour)
	d.Low, d.High = add(fromIn, -toOut), add(toIn, -fromOut)
	return d
}

// divide rounds to the nearest, halves away from zero; by is positive.
func divide(x, by int64) int64 {
	q, r := x/by, x%by
	switch {
	case r >= by-r: // 2r >= by, without passing the end of the whole numbers
		return q + 1
	case -r >= by+r:
		return q - 1
	}
	return q
}

// floor rounds down; by is positive.
func floor(x, by int64) int64 {
	q := x / by
	if x%by < 0 {
		q--
	}
	return q
}
