package persona

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Method is how people are told apart.
type Method string

// The methods.
const (
	// ByRules gives everybody the first persona whose conditions they meet.
	ByRules Method = "rules"
	// ByKMeans finds as many clusters as there are personas, noisily, and names each by the
	// features in which it leads.
	ByKMeans Method = "kmeans"
)

// Bounds of definitions.
const (
	MaxDefinition = 64 << 10
	MaxFeatures   = 16
	MaxPersonas   = 7
	// MinNoise is the least standard deviation of the noise, in people.
	MinNoise = 10
)

// Definition is how types come of what people buy.
type Definition struct {
	Name string `yaml:"name"`
	// Purpose is what people must have consented to.
	Purpose privacy.Purpose `yaml:"purpose"`
	// For is the recipient of the catalogue who is told: the policies decide about it.
	For privacy.RecipientID `yaml:"for"`
	// MinimumPeople is how many a type must have at least.
	MinimumPeople int `yaml:"minimum_people"`
	// NoisePeople is the standard deviation of the noise, in people.
	NoisePeople int       `yaml:"noise_people"`
	Method      Method    `yaml:"method"`
	Features    []Feature `yaml:"features"`
	Personas    []Persona `yaml:"personas"`
}

// Feature is which share of their purchases somebody makes in some product groups; a group
// stands for those below it as well.
type Feature struct {
	Name   string             `yaml:"name"`
	Groups []policies.GroupID `yaml:"groups"`
}

// Persona is a type, by a label of the catalogue.
type Persona struct {
	Label policies.PersonaID `yaml:"label"`
	// Leads are, for k-means, the features by which a cluster gets the label.
	Leads []string `yaml:"leads,omitempty"`
	// When are, for rules, the least shares of features, in percent. None: everybody.
	When map[string]int `yaml:"when,omitempty"`
}

// Words is what of the catalogue a definition may speak about.
type Words interface {
	Groups() []*policies.Group
	StandingOf(word string) policies.WordStanding
	Persona(id policies.PersonaID) (*policies.PersonaLabel, bool)
	Purpose(id privacy.Purpose) (*policies.Purpose, bool)
}

// Parse reads a definition strictly. Errors name what is wrong and wrap [privacy.ErrInvalid].
func Parse(text []byte, words Words) (*Definition, error) {
	if len(text) > MaxDefinition {
		return nil, fault("it is longer than %d bytes", MaxDefinition)
	}
	var d Definition
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&d); err != nil {
		return nil, fault("%s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fault("there is more than one document")
	}
	if err := d.check(words); err != nil {
		return nil, err
	}
	return &d, nil
}

func fault(format string, arguments ...any) error {
	return fmt.Errorf("reading definition of personas: %s: %w", fmt.Sprintf(format, arguments...), privacy.ErrInvalid)
}

func (d *Definition) check(words Words) error {
	_, known := words.Purpose(d.Purpose)
	switch {
	case !word(d.Name):
		return fault("name is not 1 to 40 of a-z, 0-9 and _")
	case !known:
		return fault("purpose is not in the catalogue")
	case d.For == "":
		return fault("for names nobody who is told")
	case d.NoisePeople < MinNoise || d.NoisePeople > 100_000:
		return fault("noise_people is not between %d and 100000", MinNoise)
	case d.MinimumPeople < 2 || d.MinimumPeople > 1_000_000:
		return fault("minimum_people is not between 2 and 1000000")
	case d.Method != ByRules && d.Method != ByKMeans:
		return fault("method is neither %s nor %s", ByRules, ByKMeans)
	case len(d.Features) == 0 || len(d.Features) > MaxFeatures:
		return fault("there are not 1 to %d features", MaxFeatures)
	case len(d.Personas) < 2 || len(d.Personas) > MaxPersonas:
		return fault("there are not 2 to %d personas", MaxPersonas)
	}
	if err := d.checkFeatures(words); err != nil {
		return err
	}
	return d.checkPersonas(words)
}

// checkFeatures refuses every group that gives something away, and those below it.
func (d *Definition) checkFeatures(words Words) error {
	taken := map[policies.GroupID]string{}
	names := map[string]bool{}
	for _, f := range d.Features {
		if !word(f.Name) || names[f.Name] {
			return fault("feature %q has no name of its own", f.Name)
		}
		names[f.Name] = true
		if len(f.Groups) == 0 {
			return fault("feature %s has no groups", f.Name)
		}
		for _, group := range f.Groups {
			if !slices.ContainsFunc(words.Groups(), func(g *policies.Group) bool { return below(g.ID, group) }) {
				return fault("feature %s: %s is no product group of the catalogue", f.Name, group)
			}
			for _, g := range words.Groups() {
				switch {
				case !below(g.ID, group):
				case words.StandingOf(string(g.ID)) != policies.WordHarmless:
					return fault("feature %s: %s could give away what is protected", f.Name, g.ID)
				case taken[g.ID] != "":
					return fault("feature %s: %s is in %s already", f.Name, g.ID, taken[g.ID])
				default:
					taken[g.ID] = f.Name
				}
			}
		}
	}
	return nil
}

func (d *Definition) checkPersonas(words Words) error {
	labels := map[policies.PersonaID]bool{}
	feature := func(name string) bool {
		return slices.ContainsFunc(d.Features, func(f Feature) bool { return f.Name == name })
	}
	for i, p := range d.Personas {
		if _, known := words.Persona(p.Label); !known || labels[p.Label] {
			return fault("persona %q is no label of the catalogue, or there twice", p.Label)
		}
		labels[p.Label] = true
		switch {
		case d.Method == ByKMeans && (len(p.Leads) == 0 || p.When != nil):
			return fault("persona %s: with k-means it has leads and no when", p.Label)
		case d.Method == ByRules && p.Leads != nil:
			return fault("persona %s: with rules it has when and no leads", p.Label)
		}
		for _, name := range p.Leads {
			if !feature(name) {
				return fault("persona %s: there is no feature %q", p.Label, name)
			}
		}
		if d.Method == ByKMeans && slices.ContainsFunc(d.Personas[:i], func(other Persona) bool { return sameLeads(p.Leads, other.Leads) }) {
			return fault("persona %s: another one has the same leads", p.Label)
		}
		for name, share := range p.When {
			if !feature(name) || share < 1 || share > 100 {
				return fault("persona %s: %q is no feature with a share of 1 to 100 percent", p.Label, name)
			}
		}
	}
	return nil
}

// sameLeads reports whether the same features are in both lists, whatever their order.
func sameLeads(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// Terms is how many numbers one person is in: those that are told, and with k-means those by
// which the lines are found.
func (d *Definition) Terms() int {
	terms := 1 + len(d.Features)
	if d.Method == ByKMeans {
		terms += lineTerms
	}
	return terms
}

// checkNoise refuses what costs more than the policies let a question of such data cost, if they
// say so, and what is so noisy that a type of nobody could pass for one of enough people.
func (d *Definition) checkNoise(decision *policies.RoomDecision) error {
	most, least := Rho(decision.QueryCap), max(d.MinimumPeople, decision.MinimumPeople)
	switch {
	case most > 0 && d.Cost() > most:
		return fault("noise_people: these cost %d nanorho, and the policies let a question of such data cost %d", d.Cost(), most)
	case d.NoisePeople > least/2:
		return fault("noise_people: with noise of more than %d people nobody could tell whether a type has %d", least/2, least)
	}
	return nil
}

// below reports whether a group is another one or below it.
func below(group, of policies.GroupID) bool {
	return group == of || strings.HasPrefix(string(group), string(of)+".")
}

func word(s string) bool {
	return len(s) >= 1 && len(s) <= 40 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}

// Rho is what the description of a definition costs.
type Rho = cleanroom.Rho
