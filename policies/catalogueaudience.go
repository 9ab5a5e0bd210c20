package policies

import (
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// AudienceUse declares an attribute as a column by which audiences may be formed: which
// words a condition may name.
type AudienceUse struct {
	// Words are all exact values that a condition may name.
	Words []string `yaml:"words"`
	// Open admits any value, for places and the like, which no catalogue lists. A rare one
	// makes a small audience, and that is refused.
	Open bool `yaml:"open"`
}

// MaxAudienceWord bounds the bytes of a value that a condition may name.
const MaxAudienceWord = 128

// AudienceWord reports whether a condition on the attribute may name word where the
// attribute is open at level: an exact value at [Exact], a coarser one at [Generalized].
func (a *Attribute) AudienceWord(level Level, word string) bool {
	if a.Audience == nil || word == "" || len(word) > MaxAudienceWord {
		return false
	}
	if a.Audience.Open {
		return true
	}
	if level != Generalized {
		return slices.Contains(a.Audience.Words, word)
	}
	if a.Generalize == nil {
		return false
	}
	return slices.ContainsFunc(a.Audience.Words, func(exact string) bool { return a.Generalize.Map[exact] == word })
}

// AudienceAttributes returns the attributes by which audiences may be formed, sorted.
func (c *Catalogue) AudienceAttributes() []privacy.AttributeName {
	return slices.DeleteFunc(c.Attributes(), func(name privacy.AttributeName) bool { return c.attributes[name].Audience == nil })
}

// checkAudience refuses a column that could tell too much: everybody in an audience is
// known to meet its conditions, so nothing that needs explicit consent and nothing that
// points to a protected inference can be one. It also refuses what has no fixed value.
func (l *loader) checkAudience(c *Catalogue, a *Attribute) {
	use := a.Audience
	if use == nil {
		return
	}
	keys := []string{string(a.ID), "audience"}
	if (len(use.Words) > 0) == use.Open {
		l.fail(fileAttributes, keys, "want either words or open")
	}
	for i, word := range use.Words {
		if word == "" || len(word) > MaxAudienceWord || slices.Contains(use.Words[:i], word) {
			l.fail(fileAttributes, append(keys, "words"), "want different words of at most %d bytes", MaxAudienceWord)
			break
		}
	}
	if a.List || a.Groups || a.Precise || a.Derived != "" {
		l.fail(fileAttributes, keys, "%q has no one stored value to form audiences by", a.ID)
	}
	if category := c.categories[a.Category]; category != nil && (category.Special || category.Case || len(category.ExplicitIn) > 0) {
		l.fail(fileAttributes, keys, "category %q is not one to form audiences by", a.Category)
	}
	coarser := a.ID
	if g := a.Generalize; g != nil {
		if len(use.Words) > 0 && g.Function != "map" {
			l.fail(fileAttributes, keys, "words go with the function map or no coarser step; otherwise want open")
		}
		if g.Attribute != "" {
			coarser = g.Attribute
		}
	}
	for _, id := range sortedKeys(c.inferences) {
		for _, signal := range c.inferences[id].Attributes {
			if signal.Attribute == a.ID || signal.Attribute == coarser {
				l.fail(fileAttributes, keys, "a value of %q points to %q, and audiences cannot be formed by it", signal.Attribute, id)
				break
			}
		}
	}
}
