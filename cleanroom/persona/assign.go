package persona

import (
	"math"

	"github.com/mahrem/mahrem/policies"
)

// nobody is the place of those who have no persona.
const nobody = -1

// Shares are somebody's features, in percent from 0 to 100, in the order of the definition.
type Shares []int

// features counts purchases by feature.
type features struct {
	of map[policies.GroupID]int
	n  int
}

func (d *Definition) features(words Words) features {
	f := features{map[policies.GroupID]int{}, len(d.Features)}
	for i, feature := range d.Features {
		for _, group := range feature.Groups {
			for _, g := range words.Groups() {
				if below(g.ID, group) {
					f.of[g.ID] = i
				}
			}
		}
	}
	return f
}

// shares returns the features of somebody who has bought in groups, or nil for somebody who has
// bought nothing.
func (f *features) shares(groups map[policies.GroupID]int) Shares {
	total := 0
	counts := make([]int, f.n)
	for group, n := range groups {
		total += n
		if i, is := f.of[group]; is {
			counts[i] += n
		}
	}
	if total == 0 {
		return nil
	}
	shares := make(Shares, f.n)
	for i, n := range counts {
		shares[i] = int(math.Round(100 * float64(n) / float64(total)))
	}
	return shares
}

// assign returns the place of everybody's persona in the definition: with k-means by its lines.
func (d *Definition) assign(people []Shares, lines Lines) []int {
	if d.Method == ByRules {
		return d.byRules(people)
	}
	places := make([][]int64, len(people))
	for i := range people {
		places[i] = place(people[i])
	}
	return nearest(places, lines)
}

// featureAt is where each feature is in the definition.
func (d *Definition) featureAt() map[string]int {
	at := make(map[string]int, len(d.Features))
	for i, f := range d.Features {
		at[f.Name] = i
	}
	return at
}

func (d *Definition) byRules(people []Shares) []int {
	at := d.featureAt()
	of := make([]int, len(people))
	for i, shares := range people {
		of[i] = nobody
	personas:
		for j, p := range d.Personas {
			for name, least := range p.When {
				if shares[at[name]] < least {
					continue personas
				}
			}
			of[i] = j
			break
		}
	}
	return of
}
