package policies

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// index builds what the lookups need from a checked catalogue.
func (c *Catalogue) index(l *loader) {
	c.groupOrder = inFileOrder(l, fileGroups, c.groups, nil)
	c.inferenceOrder = inFileOrder(l, fileInferences, c.inferences, nil)
	c.personaOrder = inFileOrder(l, filePersonas, c.personas, []string{"labels"})
	c.byCountry = map[string]privacy.Jurisdiction{}
	for id, j := range c.jurisdictions {
		c.byCountry[string(id)] = id
		for _, country := range j.Countries {
			c.byCountry[country] = id
		}
		if j.Default {
			c.defaultLaw = id
		}
	}
	for _, p := range c.purposes {
		if len(p.Actions) == 0 {
			p.Actions = []Action{Personalize}
		}
		p.Trigger = cmp.Or(p.Trigger, TriggerNone)
		p.StaleNotice = cmp.Or(p.StaleNotice, StaleDeny)
		p.AudienceMinimum = cmp.Or(p.AudienceMinimum, 1000)
	}
	for _, r := range c.recipients {
		r.Lookback.Duration = cmp.Or(r.Lookback.Duration, DefaultLookback)
	}
	for _, a := range c.attributes {
		a.Length = cmp.Or(a.Length, 10)
	}
	c.valueSignals = map[valueKey][]Weight{}
	for _, inference := range c.inferenceOrder {
		for _, s := range inference.Attributes {
			key := valueKey{s.Attribute, s.Value}
			c.valueSignals[key] = append(c.valueSignals[key], Weight{inference, s.Weight})
		}
	}
	c.retail = retailIndex{map[string]GroupID{}, map[string]GroupID{}, map[string]GroupID{}}
	for _, g := range c.groupOrder {
		g.Weights = c.inherit(g)
		claim(c.retail.types, g.Retail.Types, g.ID)
		claim(c.retail.categories, g.Retail.Categories, g.ID)
		claim(c.retail.departments, g.Retail.Departments, g.ID)
	}
	for _, fillers := range [...]bool{true, false} {
		for _, g := range c.groupOrder {
			if !g.Tainted && len(g.Weights) == 0 && g.Filler == fillers {
				c.harmless = append(c.harmless, g)
				if fillers {
					c.fillers = append(c.fillers, g.ID)
				}
			}
		}
	}
}

// inherit returns the group's weights: its own, or its nearest ancestor's. A weight of
// zero stops the inheritance: this group says nothing though its parent does.
func (c *Catalogue) inherit(g *Group) []Weight {
	var weights []Weight
	for _, inference := range c.inferenceOrder {
		for up := g; up != nil; up = c.groups[up.Parent] {
			weight, ok := inference.Groups[up.ID]
			if ok && weight > 0 {
				weights = append(weights, Weight{inference, weight})
			}
			if ok {
				break
			}
		}
	}
	return weights
}

// claim gives each word to the group that comes first.
func claim(index map[string]GroupID, words []string, id GroupID) {
	for _, word := range words {
		if _, taken := index[word]; !taken {
			index[word] = id
		}
	}
}

// inFileOrder returns the entries as their file lists them.
func inFileOrder[K ~string, V any](l *loader, file string, entries map[K]*V, under []string) []*V {
	lines := l.keyLines(file, under)
	keys := sortedKeys(entries)
	slices.SortStableFunc(keys, func(a, b K) int { return cmp.Compare(lines[string(a)], lines[string(b)]) })
	list := make([]*V, len(keys))
	for i, key := range keys {
		list[i] = entries[key]
	}
	return list
}

// keyLines returns the line of every key of the mapping at a path.
func (l *loader) keyLines(file string, under []string) map[string]int {
	node, line := l.node(file), 0
	for _, key := range under {
		if node != nil {
			node = step(node, key, &line)
		}
	}
	lines := map[string]int{}
	if node != nil && node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(node.Content); i += 2 {
			lines[node.Content[i].Value] = node.Content[i].Line
		}
	}
	return lines
}
