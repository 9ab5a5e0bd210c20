package policies

import (
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// GroupID names a product group in the catalogue's own vocabulary, such as
// "grocery.dairy". Intake translates a shop's categories into it.
type GroupID string

// OtherGroup is where products land that nothing else matches.
const OtherGroup GroupID = "other"

// Weight is how strongly something points to an inference.
type Weight struct {
	Inference *Inference
	Weight    int
}

// Retail are the words of a shop that mean a group, byte for byte.
type Retail struct {
	// Types match wherever they stand; Categories match if no type does; Departments
	// match if nothing else does.
	Types       []string `yaml:"types"`
	Categories  []string `yaml:"categories"`
	Departments []string `yaml:"departments"`
}

// Taxonomy are the identifiers of public taxonomies for a group, as facts.
type Taxonomy struct {
	// Shopify is an id of the Shopify Product Taxonomy, release 2025-08-unstable.
	Shopify string `yaml:"shopify"`
	// IABContent and IABProduct are ids of the IAB Tech Lab taxonomies (CC BY 3.0),
	// Content 3.1 and Ad Product 2.0.
	IABContent string `yaml:"iab_content"`
	IABProduct string `yaml:"iab_product"`
}

// Group is a product group.
type Group struct {
	ID     GroupID `yaml:"-"`
	Title  Text    `yaml:"title"`
	Parent GroupID `yaml:"parent"`
	// Tainted is whether the name of the group alone gives something protected away. A
	// value is never generalized to a tainted group.
	Tainted bool `yaml:"tainted"`
	// Filler is whether the group may stand in for one that was taken out.
	Filler   bool     `yaml:"filler"`
	Taxonomy Taxonomy `yaml:"taxonomy"`
	// Terms find the group in free text.
	Terms  Terms  `yaml:"terms"`
	Retail Retail `yaml:"retail"`

	// Weights are the inferences that the group points to, own and inherited, in
	// catalogue order.
	Weights []Weight `yaml:"-"`
}

// Group returns a product group.
func (c *Catalogue) Group(id GroupID) (*Group, bool) {
	g, ok := c.groups[id]
	return g, ok
}

// Groups returns every product group, in the order of the catalogue file.
func (c *Catalogue) Groups() []*Group { return c.groupOrder }

// HarmlessGroups returns the groups that point to no inference and are not tainted, in
// the order in which they fill a list: fillers first, then the rest.
func (c *Catalogue) HarmlessGroups() []*Group { return c.harmless }

// Fillers returns the harmless groups that may stand in for one that was taken out, in
// catalogue order.
func (c *Catalogue) Fillers() []GroupID { return c.fillers }

// GeneralizeGroup returns the nearest ancestor that gives nothing away: not tainted and
// pointing to no inference. It returns false if there is none; a group without a parent
// that is harmless generalizes to itself.
func (c *Catalogue) GeneralizeGroup(id GroupID) (GroupID, bool) {
	g, ok := c.groups[id]
	if !ok {
		return "", false
	}
	for g.Parent != "" {
		g = c.groups[g.Parent]
		if !g.Tainted && len(g.Weights) == 0 {
			return g.ID, true
		}
	}
	return g.ID, !g.Tainted && len(g.Weights) == 0
}

// GroupWeights returns the inferences that a group points to. An unknown group points
// to nothing and must not be released.
func (c *Catalogue) GroupWeights(id GroupID) []Weight {
	if g, ok := c.groups[id]; ok {
		return g.Weights
	}
	return nil
}

type valueKey struct {
	attribute privacy.AttributeName
	value     string
}

// ValueWeights returns the inferences that a value of an attribute points to: for an
// attribute of product groups those of the group, else those that the catalogue lists.
func (c *Catalogue) ValueWeights(attribute privacy.AttributeName, value string) []Weight {
	if a, ok := c.attributes[attribute]; ok && a.Groups {
		return c.GroupWeights(GroupID(value))
	}
	return c.valueSignals[valueKey{attribute, value}]
}

type retailIndex struct {
	types, categories, departments map[string]GroupID
}

// ProductGroup translates a shop's department, category and type into a group: by type
// if one matches, else by category, else by department, else [OtherGroup]. The words
// match byte for byte; so a pregnancy test is found in whatever category it is sold.
// The other way round holds as well: cotton swabs out of the category of baby care are
// baby care, because a wider word that reveals something is not overruled by a narrower
// one that does not.
func (c *Catalogue) ProductGroup(department, category, productType string) GroupID {
	var found *Group
	for _, match := range [...]struct {
		index map[string]GroupID
		word  string
	}{{c.retail.types, productType}, {c.retail.categories, category}, {c.retail.departments, department}} {
		id, ok := match.index[match.word]
		if g := c.groups[id]; ok && (found == nil || g.Reveals() && !found.Reveals()) {
			found = g
		}
	}
	if found == nil {
		return OtherGroup
	}
	return found.ID
}

// Reveals reports whether the group gives an inference away by itself under some law.
func (g *Group) Reveals() bool {
	return slices.ContainsFunc(g.Weights, func(w Weight) bool {
		for _, threshold := range w.Inference.Thresholds {
			if w.Weight >= threshold {
				return true
			}
		}
		return false
	})
}

// Persona returns a persona label.
func (c *Catalogue) Persona(id PersonaID) (*PersonaLabel, bool) {
	p, ok := c.personas[id]
	return p, ok
}

// Personas returns every persona label, in the order of the catalogue file.
func (c *Catalogue) Personas() []*PersonaLabel { return c.personaOrder }

// PersonaMinimum returns how many people must share a label before it is offered.
func (c *Catalogue) PersonaMinimum() int { return c.personaK }

// PersonaFor returns the label that fits a history of product groups best: the largest
// sum of feature weights per purchase; ties go to the label that comes first. Groups
// that point to an inference count for nothing. Without any history it returns false.
func (c *Catalogue) PersonaFor(history []GroupID) (PersonaID, bool) {
	if len(history) == 0 || len(c.personaOrder) == 0 {
		return "", false
	}
	scores := make([]int, len(c.personaOrder))
	for _, id := range history {
		group, ok := c.groups[id]
		if !ok || group.Tainted || len(group.Weights) > 0 {
			continue
		}
		for i, persona := range c.personaOrder {
			scores[i] += c.feature(persona, group)
		}
	}
	best := slices.Index(scores, slices.Max(scores))
	return c.personaOrder[best].ID, true
}

// feature returns the weight of the group or of its nearest ancestor that has one.
func (c *Catalogue) feature(persona *PersonaLabel, group *Group) int {
	for {
		if weight, ok := persona.Features[group.ID]; ok {
			return weight
		}
		if group.Parent == "" {
			return 0
		}
		group = c.groups[group.Parent]
	}
}
