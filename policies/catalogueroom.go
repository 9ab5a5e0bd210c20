package policies

import (
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// WordStanding is what a word of a column gives away about a person who meets it.
type WordStanding string

// The standings.
const (
	// WordHarmless: the word points to no protected conclusion.
	WordHarmless WordStanding = "harmless"
	// WordProtected: the word points to one, or is tainted.
	WordProtected WordStanding = "protected"
	// WordUnknown: the catalogue does not know the word.
	WordUnknown WordStanding = "unknown"
)

// StandingOf says what a product group gives away, which may be written as its key or as a
// shop's own label: type, category or department. Terms of free text are found as well,
// but make a word protected only, never harmless.
func (c *Catalogue) StandingOf(word string) WordStanding {
	standing := WordUnknown
	for _, index := range [...]map[string]GroupID{c.retail.types, c.retail.categories, c.retail.departments, {word: GroupID(word)}} {
		if g, ok := c.groups[index[word]]; ok {
			if g.pointsSomewhere() {
				return WordProtected
			}
			standing = WordHarmless
		}
	}
	if standing == WordUnknown && c.namesAny(word, (*Group).pointsSomewhere) {
		return WordProtected
	}
	return standing
}

// Protects reports whether the standing of a word is [WordProtected]: no room may be about it.
func (c *Catalogue) Protects(word string) bool { return c.StandingOf(word) == WordProtected }

// NamesTainted reports whether what a column or a dataset is called names a tainted product
// group, in any of the catalogue's languages, whatever else is in it. A hint does not count in a
// name as it does among words: every till knows a discount, and its column says nothing of who
// buys what.
func (c *Catalogue) NamesTainted(name string) bool {
	g, ok := c.groups[GroupID(name)]
	return ok && g.Tainted || c.namesAny(name, func(g *Group) bool { return g.Tainted })
}

// pointsSomewhere reports whether the group's name or weights give something away, however
// weakly: weak signals add up, and a room answers conjunctions.
func (g *Group) pointsSomewhere() bool { return g.Tainted || len(g.Weights) > 0 }

// roomCategories returns the data categories that rooms of the purpose may measure.
func (p *Purpose) roomCategories() []privacy.DataCategory {
	if p.Room == nil {
		return nil
	}
	return p.Room.Categories
}

// checkRoomUse refuses a purpose of clean rooms that would measure what is special or belongs
// to a case.
func (l *loader) checkRoomUse(c *Catalogue, p *Purpose) {
	if p.Room == nil {
		return
	}
	id := string(p.ID)
	if len(p.Room.Categories) == 0 {
		l.fail(filePurposes, []string{id, "room"}, "want the data categories that may be measured")
	}
	for i, category := range p.Room.Categories {
		known, ok := c.categories[category]
		l.known(filePurposes, ok, "category", string(category), id, "room", "categories", string(category))
		if ok && (known.Special || known.Case) {
			l.fail(filePurposes, []string{id, "room", "categories", string(category)}, "category %q is not one to measure", category)
		}
		if slices.Contains(p.Room.Categories[:i], category) {
			l.fail(filePurposes, []string{id, "room", "categories", string(category)}, "category %q is there twice", category)
		}
	}
}
