package intake

import (
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Words is the catalogue of the policies as a loader and the consent service ask it.
// It looks at the catalogue that is active at the moment of each question, so that a
// policy revision counts from the next row on.
type Words struct{ current func() *policies.Catalogue }

// NewWords returns the words of whatever catalogue current returns.
func NewWords(current func() *policies.Catalogue) Words { return Words{current} }

var (
	_ Catalogue  = Words{}
	_ Classifier = Words{}
)

// KnowsPurpose implements [Catalogue].
func (w Words) KnowsPurpose(p privacy.Purpose) bool {
	_, ok := w.current().Purpose(p)
	return ok
}

// KnowsChannel implements [Catalogue].
func (w Words) KnowsChannel(c privacy.Channel) bool {
	_, ok := w.current().Channel(c)
	return ok
}

// KnowsCategory implements [Catalogue].
func (w Words) KnowsCategory(c privacy.DataCategory) bool {
	_, ok := w.current().Category(c)
	return ok
}

// KnowsJurisdiction implements [Catalogue]. It admits every country that some law of the
// catalogue claims.
func (w Words) KnowsJurisdiction(j privacy.Jurisdiction) bool {
	return j != "" && w.current().JurisdictionOf(string(j)) != policies.UnknownJurisdiction
}

// CategoryOf implements [Catalogue]. An attribute that is computed from events cannot be
// loaded and is not known here.
func (w Words) CategoryOf(name privacy.AttributeName) (privacy.DataCategory, bool) {
	a, ok := w.current().Attribute(name)
	if !ok || a.Derived != "" {
		return "", false
	}
	return a.Category, true
}

// ProductGroup implements [Classifier]. Free text counts where the shop's words say
// nothing, and where it reveals something that they do not.
func (w Words) ProductGroup(department, category, productType, text string) string {
	c := w.current()
	id := c.ProductGroup(department, category, productType)
	if named, ok := c.GroupByTerm(text); ok {
		group, _ := c.Group(id)
		if called, _ := c.Group(named); id == policies.OtherGroup || called.Reveals() && !group.Reveals() {
			id = named
		}
	}
	return string(id)
}
