package persona

import (
	"fmt"
	"math"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// lineRounds is how often the middles of types are moved, after that of everybody was found.
	lineRounds = 4
	// lineUnit is as far as anybody is from where no feature is.
	lineUnit = 1000
	// lineLead is how far the middle of a type is from everybody's at first, in each feature by
	// which it is known.
	lineLead = 200
)

// Lines are where k-means tells types apart: the middle of each, in the order of the
// definition, and of the features. Everybody is of the type whose middle is nearest. They are
// found with noise that is paid for, so they give away no more of anybody than was paid, and
// neither does what is told of the types, nor a label of somebody else.
type Lines [][]int64

// lineTerms is how many numbers one person is in for lines: in each round they are one of those
// who are counted, and move one sum, of places, by no more than lineUnit in all of its
// directions together.
const lineTerms = 2 * (1 + lineRounds)

// place returns where somebody is: the root of each share, because small shares differ by less
// than large ones do (Hellinger's distance). Nobody is further than lineUnit from nowhere.
func place(shares Shares) []int64 {
	whole := 0
	for _, share := range shares {
		whole += min(max(share, 0), 100)
	}
	whole = max(whole, 100) // rounded shares may be more than everything
	at := make([]int64, len(shares))
	for j, share := range shares {
		at[j] = int64(lineUnit * math.Sqrt(float64(min(max(share, 0), 100))/float64(whole)))
	}
	return at
}

// drawLines finds the lines of a definition. What it does next depends on nothing but what was
// drawn before. It must be called once for a definition, and what it returns be kept.
func (d *Definition) drawLines(minimum int, people []Shares, source cleanroom.Noise) Lines {
	places := make([][]int64, len(people))
	for i := range people {
		places[i] = place(people[i])
	}
	least := int64(minimum) + noise.Margin(d.NoisePeople)
	everybody := d.middles(places, make([]int, len(places)), Lines{make([]int64, len(d.Features))}, 1, source)[0]
	at := d.featureAt()
	lines := make(Lines, len(d.Personas))
	for p := range lines {
		lines[p] = append([]int64(nil), everybody...)
		for _, lead := range d.Personas[p].Leads {
			lines[p][at[lead]] += lineLead
		}
	}
	for range lineRounds {
		lines = d.middles(places, nearest(places, lines), lines, least, source)
	}
	return d.named(lines, everybody)
}

// middles returns the noisy middles of people of each type. One of fewer than least people, as
// far as noise lets anybody know, stays where it was.
func (d *Definition) middles(places [][]int64, of []int, before Lines, least int64, source cleanroom.Noise) Lines {
	counts, sums := make([]int64, len(before)), make(Lines, len(before))
	for p := range sums {
		sums[p] = make([]int64, len(d.Features))
	}
	for i, at := range places {
		counts[of[i]]++
		for j, v := range at {
			sums[of[i]][j] += v
		}
	}
	for p := range sums {
		count := source.Gaussian(counts[p], float64(d.NoisePeople))
		for j := range sums[p] {
			sums[p][j] = min(max(source.Gaussian(sums[p][j], float64(d.NoisePeople)*lineUnit)/max(count, 1), 0), lineUnit)
		}
		if count < least {
			sums[p] = before[p]
		}
	}
	return sums
}

// nearest returns to which of the lines everybody is nearest.
func nearest(places [][]int64, lines Lines) []int {
	of := make([]int, len(places))
	for i, at := range places {
		least := int64(math.MaxInt64)
		for p, middle := range lines {
			distance := int64(0)
			for j, v := range middle {
				distance += (at[j] - v) * (at[j] - v)
			}
			if distance < least {
				of[i], least = p, distance
			}
		}
	}
	return of
}

// named brings middles into the order of the personas that they fit: the pair that fits best
// first, by how far they are beyond everybody's in the features by which a persona is known.
func (d *Definition) named(middles Lines, everybody []int64) Lines {
	at := d.featureAt()
	lines, taken := make(Lines, len(middles)), make([]bool, len(middles))
	for range middles {
		best, persona, most := nobody, nobody, math.Inf(-1)
		for c, middle := range middles {
			for p := range d.Personas {
				if taken[c] || lines[p] != nil {
					continue
				}
				score := 0.0
				for _, lead := range d.Personas[p].Leads {
					score += float64(middle[at[lead]]-everybody[at[lead]]) / float64(len(d.Personas[p].Leads))
				}
				if score > most {
					best, persona, most = c, p, score
				}
			}
		}
		lines[persona], taken[best] = middles[best], true
	}
	return lines
}

// checkLines refuses lines that are not of the definition.
func (d *Definition) checkLines(lines Lines) error {
	fits := len(lines) == len(d.Personas)
	for _, middle := range lines {
		fits = fits && len(middle) == len(d.Features)
	}
	if d.Method == ByKMeans && !fits {
		return fmt.Errorf("the description of personas %s has not its lines; another version will: %w", d.Name, privacy.ErrDamaged)
	}
	return nil
}
