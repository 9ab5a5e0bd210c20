package cleanroom

import (
	"encoding/hex"
	"errors"
	"math"
	"strconv"

	"github.com/mahrem/mahrem/cleanroom/noise"
)

// What an answer says about how it is protected.
const (
	ProtectionPrivate   = "zero-concentrated differential privacy"
	ProtectionThreshold = "not protected against differencing"
)

// errStrangeGroups is what is wrong with an executor's result. Callers never see it.
var errStrangeGroups = errors.New("the executor returned groups that the plan does not have")

// numbers are what an answer is made of: for each group, in the order of the domains, the
// people and a number or bins for each measure.
type numbers struct {
	people []int64
	sums   [][]int64
	bins   [][][]int64
}

// fill puts what the executor found in the place of its key; groups without people, which it
// does not return, are there with zeros like all others.
func (q *Question) fill(groups []Group) (*numbers, error) {
	n := &numbers{people: make([]int64, q.size), sums: make([][]int64, q.size), bins: make([][][]int64, q.size)}
	for i := range q.size {
		n.sums[i] = make([]int64, len(q.measures))
		n.bins[i] = make([][]int64, len(q.measures))
		for j := range q.measures {
			if q.measures[j].bins {
				n.bins[i][j] = make([]int64, len(q.measures[j].column.Bins)+1)
			}
		}
	}
	for i := range groups {
		g := &groups[i]
		if len(g.Key) != len(q.keys) || g.People < 0 || len(g.Sums) != len(q.measures) || len(g.Bins) != len(q.measures) {
			return nil, errStrangeGroups
		}
		place := 0
		for j, value := range g.Key {
			size := len(q.keys[j].column.Domain)
			if value < 0 || value >= size {
				return nil, errStrangeGroups
			}
			place = place*size + value
		}
		if n.people[place] != 0 {
			return nil, errStrangeGroups
		}
		n.people[place] = g.People
		for j := range q.measures {
			if len(g.Bins[j]) != len(n.bins[place][j]) {
				return nil, errStrangeGroups
			}
			n.sums[place][j] = g.Sums[j]
			copy(n.bins[place][j], g.Bins[j])
		}
	}
	return n, nil
}

// blur adds noise to every number of every group, whether it will be told or not: which ones
// are told depends on the noisy people alone.
func (q *Question) blur(n *numbers, source Noise) {
	people := float64(q.query.Privacy.NoisePeople)
	for i := range n.people {
		n.people[i] = source.Gaussian(n.people[i], people)
		for j := range q.measures {
			if n.bins[i][j] == nil {
				n.sums[i][j] = source.Gaussian(n.sums[i][j], q.sigma(j))
				continue
			}
			for k := range n.bins[i][j] {
				n.bins[i][j][k] = source.Gaussian(n.bins[i][j][k], people)
			}
		}
	}
}

// sigma is the standard deviation of a measure's noise.
func (q *Question) sigma(measure int) float64 {
	m := &q.measures[measure]
	if m.bins {
		return float64(q.query.Privacy.NoisePeople)
	}
	return noise.SumSigma(q.query.Privacy.NoisePeople, m.column.Lo, m.column.Hi)
}

// Threshold returns how many people an answer must show a group to have for it to be told:
// in a room with noise some more than the contracts say, because the number is noisy.
func (q *Question) Threshold() int64 {
	k := int64(q.Rule.MinimumPeople)
	if q.room.Mode == ThresholdOnly {
		return k
	}
	return k + noise.Margin(q.query.Privacy.NoisePeople)
}

// answer writes the canonical JSON that the consumer gets, from numbers that may be told.
func (q *Question) answer(n *numbers, digest [32]byte) []byte {
	private := q.room.Mode != ThresholdOnly
	w := &writer{b: make([]byte, 0, 4096)}
	w.open('{')
	if private {
		w.key("confidence_percent").number(noise.Confidence)
	}
	w.key("cost_nanorho").number(int64(q.Cost()))
	w.key("epoch").number(int64(q.room.Epoch))
	w.key("groups").open('[')
	values := make([]int, len(q.keys))
	for i := range n.people {
		q.writeGroup(w, n, i, values)
		for j := len(values) - 1; j >= 0; j-- {
			if values[j]++; values[j] < len(q.keys[j].column.Domain) {
				break
			}
			values[j] = 0
		}
	}
	w.close(']')
	if private {
		w.key("margin").number(q.Threshold() - int64(q.Rule.MinimumPeople))
		w.key("metrics").open('[')
		for i := range q.metrics {
			q.writeMetric(w, &q.metrics[i])
		}
		w.close(']')
	}
	w.key("minimum_people").number(int64(q.Rule.MinimumPeople))
	protection := ProtectionPrivate
	if !private {
		protection = ProtectionThreshold
	}
	w.key("protection").text(protection)
	w.key("query")
	w.b = append(w.b, q.Canonical()...)
	w.comma = true
	w.key("question").text(hex.EncodeToString(digest[:]))
	w.key("snapshots").open('[')
	for i := range q.sources {
		w.open('{')
		w.key("dataset").text(q.sources[i].ref.String())
		w.key("snapshot").number(int64(q.sources[i].snapshot.ID))
		w.close('}')
	}
	w.close(']')
	w.close('}')
	return w.b
}

// writeMetric writes how noisy a number is, and between what one person adds.
func (q *Question) writeMetric(w *writer, m *metric) {
	w.open('{')
	sigma := float64(q.query.Privacy.NoisePeople)
	if m.measure >= 0 {
		column := q.measures[m.measure].column
		w.key("hi").number(column.Hi)
		w.key("lo").number(column.Lo)
		sigma = q.sigma(m.measure)
	}
	w.key("name").text(m.name)
	if m.function != Average {
		w.key("noise_sd").number(int64(math.Ceil(sigma)))
	}
	w.close('}')
}

func (q *Question) writeGroup(w *writer, n *numbers, place int, values []int) {
	w.open('{')
	w.key("key").open('{')
	for i := range q.keys { // which are sorted by name
		w.key(q.keys[i].name).text(q.keys[i].column.Domain[values[i]])
	}
	w.close('}')
	if n.people[place] < q.Threshold() {
		w.key("suppressed").bool(true)
		w.close('}')
		return
	}
	w.key("values").open('{')
	for i := range q.metrics[1:] { // avg, histogram, and then people come before sum
		if q.metrics[i+1].function != Sum {
			q.writeValue(w, n, place, &q.metrics[i+1])
		}
	}
	q.writeValue(w, n, place, &q.metrics[0])
	for i := range q.metrics[1:] {
		if q.metrics[i+1].function == Sum {
			q.writeValue(w, n, place, &q.metrics[i+1])
		}
	}
	w.close('}')
	w.close('}')
}

func (q *Question) writeValue(w *writer, n *numbers, place int, m *metric) {
	w.key(m.name)
	people := float64(q.query.Privacy.NoisePeople)
	if m.function == People {
		q.writeNoisy(w, n.people[place], people, 0, math.MaxInt64)
		return
	}
	column := q.measures[m.measure].column
	switch m.function {
	case Histogram:
		w.open('{')
		w.key("bins").open('[')
		for _, count := range n.bins[place][m.measure] {
			if count < q.Threshold() {
				w.open('{')
				w.key("suppressed").bool(true)
				w.close('}')
				continue
			}
			q.writeNoisy(w, count, people, 0, math.MaxInt64)
		}
		w.close(']')
		w.key("edges").open('[')
		for _, edge := range column.Bins {
			w.number(edge)
		}
		w.close(']')
		w.close('}')
	case Average:
		sum, sigma := n.sums[place][m.measure], q.sigma(m.measure)
		if q.room.Mode == ThresholdOnly {
			sigma, people = 0, 0
		}
		average, low, high := noise.Average(noise.Noisy{Value: sum, Sigma: sigma}, noise.Noisy{Value: n.people[place], Sigma: people}, column.Lo, column.Hi)
		w.open('{')
		if q.room.Mode != ThresholdOnly {
			w.key("high").number(high)
			w.key("low").number(low)
		}
		w.key("value").number(average)
		w.close('}')
	default:
		low, high := int64(math.MinInt64), int64(math.MaxInt64)
		if column.Lo >= 0 {
			low = 0
		}
		if column.Hi <= 0 {
			high = 0
		}
		q.writeNoisy(w, n.sums[place][m.measure], q.sigma(m.measure), low, high)
	}
}

// writeNoisy writes a number with its interval, cut off where the truth cannot lie; what was
// drawn stays beside it, so that sums of answers are not biased.
func (q *Question) writeNoisy(w *writer, drawn int64, sigma float64, least, most int64) {
	w.open('{')
	value := min(max(drawn, least), most)
	if q.room.Mode != ThresholdOnly {
		if value != drawn {
			w.key("drawn").number(drawn)
		}
		low, high := noise.Interval(drawn, sigma)
		w.key("high").number(high)
		w.key("low").number(low)
	}
	w.key("value").number(value)
	w.close('}')
}

// writer writes JSON. Its caller gives keys in order.
type writer struct {
	b     []byte
	comma bool
}

func (w *writer) next() {
	if w.comma {
		w.b = append(w.b, ',')
	}
	w.comma = true
}

func (w *writer) open(c byte) {
	w.next()
	w.b = append(w.b, c)
	w.comma = false
}

func (w *writer) close(c byte) {
	w.b = append(w.b, c)
	w.comma = true
}

func (w *writer) key(name string) *writer {
	w.next()
	w.b = append(appendCanonicalString(w.b, name), ':')
	w.comma = false
	return w
}

func (w *writer) text(s string) {
	w.next()
	w.b = appendCanonicalString(w.b, s)
}

func (w *writer) number(n int64) {
	w.next()
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) bool(value bool) {
	w.next()
	w.b = strconv.AppendBool(w.b, value)
}
