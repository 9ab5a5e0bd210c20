package persona

import (
	"encoding/json"
	"fmt"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/noise"
	"github.com/mahrem/mahrem/policies"
)

// Description is what is told of the personas of a definition.
type Description struct {
	Persona       string `json:"persona"`
	Version       int    `json:"version"`
	MinimumPeople int    `json:"minimum_people"`
	NoisePeople   int    `json:"noise_people"`
	Cost          Rho    `json:"cost_nanorho"`
	Types         []Type `json:"types"`
	// Lines are where k-means tells the types apart, noisily; later builds go by them, too.
	Lines Lines `json:"lines,omitempty"`
}

// Type is a persona with noisy numbers, each with an interval that holds the true one with a
// probability of 95 %.
type Type struct {
	Label policies.PersonaID `json:"label"`
	// Told is whether enough people are of the type. If not, nothing else is told.
	Told       bool    `json:"told"`
	People     int64   `json:"people,omitempty"`
	PeopleLow  int64   `json:"people_low,omitempty"`
	PeopleHigh int64   `json:"people_high,omitempty"`
	Shares     []Share `json:"shares,omitempty"`
}

// Share is the average share of purchases that people of a type make in a feature, in percent.
type Share struct {
	Feature string `json:"feature"`
	Percent int64  `json:"percent"`
	Low     int64  `json:"low"`
	High    int64  `json:"high"`
}

// Cost is what finding and describing types costs: everybody is of one type, and in one number
// for each of the terms.
func (d *Definition) Cost() Rho { return Rho(noise.Cost(d.Terms(), 1, d.NoisePeople)) }

// describe draws the noise. It must be called once for a definition, and what it returns be kept.
func (d *Definition) describe(version, minimum int, people []Shares, of []int, source cleanroom.Noise) *Description {
	described := &Description{Persona: d.Name, Version: version, MinimumPeople: minimum, NoisePeople: d.NoisePeople, Cost: d.Cost()}
	sigma, sumSigma := float64(d.NoisePeople), noise.SumSigma(d.NoisePeople, 0, 100)
	for p, persona := range d.Personas {
		var count int64
		sums := make([]int64, len(d.Features))
		for i, shares := range people {
			if of[i] != p {
				continue
			}
			count++
			for j, share := range shares {
				sums[j] += int64(min(max(share, 0), 100))
			}
		}
		noisy := noise.Noisy{Value: source.Gaussian(count, sigma), Sigma: sigma}
		t := Type{Label: persona.Label, Told: noisy.Value >= int64(minimum)+noise.Margin(d.NoisePeople)}
		for j, f := range d.Features {
			sum := noise.Noisy{Value: source.Gaussian(sums[j], sumSigma), Sigma: sumSigma}
			if !t.Told {
				continue
			}
			share := Share{Feature: f.Name}
			share.Percent, share.Low, share.High = noise.Average(sum, noisy, 0, 100)
			t.Shares = append(t.Shares, share)
		}
		if t.Told {
			t.People = noisy.Value
			t.PeopleLow, t.PeopleHigh = noise.Interval(noisy.Value, sigma)
		}
		described.Types = append(described.Types, t)
	}
	return described
}

// Encode returns the description as it is kept.
func (d *Description) Encode() ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("writing description of personas: %w", err)
	}
	return text, nil
}

// ParseDescription reads what [Description.Encode] writes.
func ParseDescription(text []byte) (*Description, error) {
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("reading description of personas: %w", err)
	}
	return &d, nil
}

// told reports whether a label may be given: its type was told, and has at least as many people,
// as far as noise lets anybody know, as the policies want by now.
func (d *Description) told(label policies.PersonaID, minimum int) bool {
	for i := range d.Types {
		if t := &d.Types[i]; t.Label == label {
			return t.Told && t.People >= int64(minimum)+noise.Margin(d.NoisePeople)
		}
	}
	return false
}
