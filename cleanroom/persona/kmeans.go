package persona

import (
	"math"
	"math/rand/v2"
)

const (
	kmeansRestarts = 10
	kmeansRounds   = 100
)

// cluster finds k groups of points by Lloyd's algorithm, begun as k-means++ begins
// (Arthur and Vassilvitskii 2007), and returns which one each point is in, and the centres. Of
// several beginnings the best one counts. The same points and seed give the same groups.
//
// There are too few points and dimensions here for a library to be worth one: distances and
// means are all there is to it.
func cluster(points [][]float64, k int, seed [32]byte) (of []int, centres [][]float64) {
	random := rand.New(rand.NewChaCha8(seed))
	least := math.Inf(1)
	for range kmeansRestarts {
		c := begin(points, k, random)
		if len(c) < k {
			continue // there are fewer different points than clusters
		}
		assigned, cost := lloyd(points, c)
		if cost < least {
			least, of, centres = cost, assigned, c
		}
	}
	return of, centres
}

// begin chooses centres among the points, far ones more likely.
func begin(points [][]float64, k int, random *rand.Rand) [][]float64 {
	if len(points) == 0 {
		return nil
	}
	centres := [][]float64{append([]float64(nil), points[random.IntN(len(points))]...)}
	nearest := make([]float64, len(points))
	for i := range nearest {
		nearest[i] = math.Inf(1)
	}
	for len(centres) < k {
		total := 0.0
		for i, p := range points {
			nearest[i] = min(nearest[i], distance(p, centres[len(centres)-1]))
			total += nearest[i]
		}
		if total == 0 {
			break
		}
		at := random.Float64() * total
		next := 0
		for i, d := range nearest {
			if d == 0 {
				continue
			}
			if next = i; at < d {
				break
			}
			at -= d
		}
		centres = append(centres, append([]float64(nil), points[next]...))
	}
	return centres
}

// lloyd moves the centres to the middle of those who are nearest, until nobody changes.
func lloyd(points, centres [][]float64) (of []int, cost float64) {
	of = make([]int, len(points))
	for i := range of {
		of[i] = -1
	}
	for range kmeansRounds {
		changed := false
		cost = 0
		for i, p := range points {
			best, least := 0, math.Inf(1)
			for j, c := range centres {
				if d := distance(p, c); d < least {
					best, least = j, d
				}
			}
			changed = changed || of[i] != best
			of[i] = best
			cost += least
		}
		if !changed {
			break
		}
		counts := make([]float64, len(centres))
		sums := make([][]float64, len(centres))
		for j := range sums {
			sums[j] = make([]float64, len(centres[j]))
		}
		for i, p := range points {
			counts[of[i]]++
			for j, v := range p {
				sums[of[i]][j] += v
			}
		}
		for j, c := range centres {
			if counts[j] == 0 {
				continue // stays where it is
			}
			for l := range c {
				c[l] = sums[j][l] / counts[j]
			}
		}
	}
	return of, cost
}

func distance(a, b []float64) float64 {
	sum := 0.0
	for i := range a {
		sum += (a[i] - b[i]) * (a[i] - b[i])
	}
	return sum
}

// standardize brings every feature to mean 0 and standard deviation 1, in place, so that
// none counts for more because it varies more.
func standardize(points [][]float64) {
	if len(points) == 0 {
		return
	}
	n := float64(len(points))
	for j := range points[0] {
		mean, square := 0.0, 0.0
		for _, p := range points {
			mean += p[j] / n
		}
		for _, p := range points {
			square += (p[j] - mean) * (p[j] - mean) / n
		}
		scale := math.Sqrt(square)
		for _, p := range points {
			if p[j] -= mean; scale > 0 {
				p[j] /= scale
			}
		}
	}
}
