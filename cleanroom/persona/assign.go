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

// assign returns the place of everybody's persona in the definition.
func (d *Definition) assign(people []Shares, seed [32]byte) []int {
	if d.Method == ByRules {
		return d.byRules(people)
	}
	return d.byClusters(people, seed)
}

func (d *Definition) byRules(people []Shares) []int {
	at := map[string]int{}
	for i, f := range d.Features {
		at[f.Name] = i
	}
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

func (d *Definition) byClusters(people []Shares, seed [32]byte) []int {
	points := make([][]float64, len(people))
	for i, shares := range people {
		points[i] = make([]float64, len(shares))
		for j, share := range shares {
			points[i][j] = float64(share)
		}
	}
	standardize(points)
	clusters, centres := cluster(points, len(d.Personas), seed)
	of := make([]int, len(people))
	for i := range of {
		of[i] = nobody
	}
	if clusters == nil {
		return of
	}
	labels := d.name(centres)
	for i, c := range clusters {
		of[i] = labels[c]
	}
	return of
}

// name gives each cluster a persona: the pair that fits best first.
func (d *Definition) name(centres [][]float64) []int {
	at := map[string]int{}
	for i, f := range d.Features {
		at[f.Name] = i
	}
	labels := make([]int, len(centres))
	for i := range labels {
		labels[i] = nobody
	}
	taken := make([]bool, len(d.Personas))
	for range centres {
		bestCluster, bestPersona, most := nobody, nobody, math.Inf(-1)
		for c, centre := range centres {
			if labels[c] != nobody {
				continue
			}
			for p, persona := range d.Personas {
				if taken[p] {
					continue
				}
				score := 0.0
				for _, lead := range persona.Leads {
					score += centre[at[lead]] / float64(len(persona.Leads))
				}
				if score > most {
					bestCluster, bestPersona, most = c, p, score
				}
			}
		}
		labels[bestCluster], taken[bestPersona] = bestPersona, true
	}
	return labels
}
