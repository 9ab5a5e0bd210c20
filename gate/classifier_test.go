package gate

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// sample is one person as an attacker sees them: what was counted in the answers, and
// whether they are one of those that the attacker looks for.
type sample struct {
	features map[string]float64
	positive bool
}

// only returns the samples with the features that keep admits.
func only(samples []sample, keep func(feature string) bool) []sample {
	out := make([]sample, len(samples))
	for i, s := range samples {
		out[i] = sample{map[string]float64{}, s.positive}
		for name, value := range s.features {
			if keep(name) {
				out[i].features[name] = value
			}
		}
	}
	return out
}

// matrix is the features of all samples, each with mean zero and unit variance. Features
// that fewer than rare samples have, or that fewer lack, are left out: nothing can be
// learned from them.
type matrix struct {
	columns []string
	rows    [][]float64
	labels  []float64
}

const rare = 5

func newMatrix(samples []sample) matrix {
	values := map[string][]float64{}
	for i, s := range samples {
		for name, value := range s.features {
			if values[name] == nil {
				values[name] = make([]float64, len(samples))
			}
			values[name][i] = value
		}
	}
	x := matrix{rows: make([][]float64, len(samples)), labels: make([]float64, len(samples))}
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		column := values[name]
		if standardize(column) && !seen[fmt.Sprint(column)] {
			seen[fmt.Sprint(column)] = true // two purposes often tell the same
			x.columns = append(x.columns, name)
			for i, value := range column {
				x.rows[i] = append(x.rows[i], value)
			}
		}
	}
	for i, s := range samples {
		if s.positive {
			x.labels[i] = 1
		}
	}
	return x
}

func standardize(column []float64) bool {
	n, sum, squares, usual := float64(len(column)), 0.0, 0.0, map[float64]int{}
	for _, value := range column {
		sum, squares = sum+value, squares+value*value
		usual[value]++
	}
	mean := sum / n
	deviation := math.Sqrt(max(0, squares/n-mean*mean))
	if len(column)-slices.Max(slices.Collect(maps.Values(usual))) < rare || deviation < 1e-9 {
		return false
	}
	for i := range column {
		column[i] = (column[i] - mean) / deviation
	}
	return true
}

// train fits a logistic regression with a quadratic penalty to some rows, by accelerated
// gradient descent. The last weight is the intercept, which is not penalized.
func (x *matrix) train(rows []int, penalty, curvature float64) []float64 {
	p := len(x.columns)
	weights, previous, ahead, gradient := make([]float64, p+1), make([]float64, p+1), make([]float64, p+1), make([]float64, p+1)
	n := float64(len(rows))
	step := 1 / (curvature/4 + penalty/n)
	for round := range 100 {
		momentum := float64(round) / float64(round+3)
		for i := range ahead {
			ahead[i] = weights[i] + momentum*(weights[i]-previous[i])
			gradient[i] = penalty / n * ahead[i]
		}
		gradient[p] = 0
		for _, r := range rows {
			miss := (1/(1+math.Exp(-x.score(ahead, r))) - x.labels[r]) / n
			for i, value := range x.rows[r] {
				gradient[i] += miss * value
			}
			gradient[p] += miss
		}
		copy(previous, weights)
		for i := range weights {
			weights[i] = ahead[i] - step*gradient[i]
		}
	}
	return weights
}

// curvature is the largest eigenvalue of X'X/n, by power iteration, and a little more.
func (x *matrix) curvature() float64 {
	p := len(x.columns)
	v, next, value := make([]float64, p+1), make([]float64, p+1), 0.0
	for i := range v {
		v[i] = 1 / math.Sqrt(float64(p+1))
	}
	for range 15 {
		clear(next)
		for r := range x.rows {
			s := x.score(v, r) / float64(len(x.rows))
			for i, f := range x.rows[r] {
				next[i] += s * f
			}
			next[p] += s
		}
		value = 0
		for _, f := range next {
			value += f * f
		}
		value = math.Sqrt(value)
		for i := range v {
			v[i] = next[i] / value
		}
	}
	return 1.3 * value
}

func (x *matrix) score(weights []float64, row int) float64 {
	sum := weights[len(x.columns)]
	for i, value := range x.rows[row] {
		sum += weights[i] * value
	}
	return sum
}

// strongest returns the feature that weighs most for a classifier that saw all samples.
func strongest(samples []sample) (feature string, weight float64) {
	x := newMatrix(samples)
	if len(x.columns) == 0 {
		return "nothing", 0
	}
	rows := make([]int, len(samples))
	for i := range rows {
		rows[i] = i
	}
	weights := x.train(rows, 100, x.curvature())
	for i, name := range x.columns {
		if math.Abs(weights[i]) > math.Abs(weight) {
			feature, weight = name, weights[i]
		}
	}
	return feature, weight
}

// shuffled gives the same samples labels that mean nothing.
func shuffled(samples []sample) []sample {
	out := slices.Clone(samples)
	r := rand.New(rand.NewPCG(4, 4))
	for i, j := range r.Perm(len(samples)) {
		out[i].positive = samples[j].positive
	}
	return out
}

// crossValidated is the area under the ROC curve of a classifier that never saw the rows
// it judges: the mean over folds, each of which has its share of positives. Two penalties
// are tried and the better for the attacker counts, which flatters the attacker a little.
func crossValidated(samples []sample) float64 {
	const folds = 10
	x := newMatrix(samples)
	if len(x.columns) == 0 {
		return 0.5
	}
	fold := make([]int, len(samples))
	r := rand.New(rand.NewPCG(20170101, 1))
	count := [2]int{}
	for _, i := range r.Perm(len(samples)) {
		label := int(x.labels[i])
		fold[i] = count[label] % folds
		count[label]++
	}
	best, curvature := 0.0, x.curvature()
	for _, penalty := range []float64{100, 1000} {
		total := 0.0
		for f := range folds {
			var learn, judge []int
			for i := range samples {
				if fold[i] == f {
					judge = append(judge, i)
				} else {
					learn = append(learn, i)
				}
			}
			weights := x.train(learn, penalty, curvature)
			scores := make([]float64, len(judge))
			labels := make([]float64, len(judge))
			for i, row := range judge {
				scores[i], labels[i] = x.score(weights, row), x.labels[row]
			}
			total += areaUnderCurve(scores, labels)
		}
		best = max(best, total/folds)
	}
	return best
}

// areaUnderCurve is the chance that a positive scores higher than a negative; ties count
// half.
func areaUnderCurve(scores, labels []float64) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	ranks, positives := 0.0, 0.0
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && scores[order[j]] == scores[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			if labels[k] == 1 {
				ranks += float64(i+j+1) / 2
				positives++
			}
		}
		i = j
	}
	negatives := float64(len(scores)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * negatives)
}

// The classifier finds what is there, and finds nothing where nothing is.
func TestClassifierFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	var telling, silent []sample
	for i := range 600 {
		noise := map[string]float64{"a": r.NormFloat64(), "b": r.NormFloat64(), "c": float64(r.IntN(2))}
		silent = append(silent, sample{noise, i%2 == 0})
		signal := map[string]float64{"a": noise["a"], "b": noise["b"], "c": noise["c"]}
		if i%2 == 0 {
			signal["a"] += 1.2
			signal["b"] -= 1.2
		}
		telling = append(telling, sample{signal, i%2 == 0})
	}
	if auc := crossValidated(telling); auc < 0.85 || auc > 0.95 {
		t.Errorf("two shifts of 1.2 deviations give %.3f, want about 0.88 to 0.92", auc)
	}
	if auc := crossValidated(silent); auc < 0.42 || auc > 0.58 {
		t.Errorf("noise gives %.3f, want about 0.5", auc)
	}
	if auc := areaUnderCurve([]float64{1, 2, 2, 3}, []float64{0, 0, 1, 1}); auc != 0.875 {
		t.Errorf("area %v, want 0.875", auc)
	}
}
