package gate

import (
	"slices"
	"sync/atomic"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Names that the gate itself knows.
const (
	// categoryCore holds the few facts about a person that decisions need.
	categoryCore     privacy.DataCategory  = "core"
	attributeBirth   privacy.AttributeName = "birth_date"
	attributeHouse   privacy.AttributeName = "household"
	attributePersona privacy.AttributeName = "persona"
	categoryProfile  privacy.DataCategory  = "profile"
	purposeMarketing privacy.Purpose       = policies.GeneralMarketing
)

// sheet is what one policy revision says, arranged for the hot path: lookups by index
// instead of by walking the catalogue.
type sheet struct {
	revision   *policies.Revision
	catalogue  *policies.Catalogue
	digest     [32]byte
	name       string
	required   []string // the checks that a denial can name
	attributes map[privacy.AttributeName]*attribute
	inferences []*policies.Inference
	groups     map[policies.GroupID]*groupEntry
	values     map[valueKey][]point
	// admitted are the attributes that each purpose admits, in the order of their names.
	admitted map[privacy.Purpose][]*attribute
	// marketing are the purposes whose objections bind a marketing purpose too.
	marketing []privacy.Purpose
	// profile is the category that holds the persona label.
	profile privacy.DataCategory
	// columns are the attributes by which audiences may be formed, banded is whether one of
	// them is a band of ages, and shape is a digest of what their profiles depend on.
	columns []*attribute
	banded  bool
	shape   string
}

type attribute struct {
	*policies.Attribute
	// derive is nil for an attribute that is stored.
	derive *derivation
	// screened is whether a value of it can point to a protected inference.
	screened bool
}

type groupEntry struct {
	// key is the contributor in the exposure ledger.
	key    string
	value  privacy.Plain
	points []point
	// coarse is the harmless ancestor, empty without one.
	coarse string
}

type valueKey struct {
	attribute privacy.AttributeName
	value     string
}

// sheets makes the sheet of a revision once and keeps the latest.
type sheets struct{ latest atomic.Pointer[sheet] }

func (c *sheets) of(revision *policies.Revision) *sheet {
	if s := c.latest.Load(); s != nil && s.revision == revision {
		return s
	}
	s := newSheet(revision)
	c.latest.Store(s)
	return s
}

func newSheet(revision *policies.Revision) *sheet {
	c := revision.Catalogue()
	s := &sheet{
		revision: revision, catalogue: c, digest: revision.Digest(), required: revision.Required(),
		attributes: map[privacy.AttributeName]*attribute{},
		inferences: c.Inferences(),
		groups:     map[policies.GroupID]*groupEntry{},
		values:     map[valueKey][]point{},
		admitted:   map[privacy.Purpose][]*attribute{},
		profile:    categoryProfile,
	}
	s.name = revision.String()
	for i, inference := range s.inferences {
		for _, signal := range inference.Attributes {
			key := valueKey{signal.Attribute, signal.Value}
			s.values[key] = append(s.values[key], point{i, signal.Weight})
		}
	}
	for _, name := range c.Attributes() {
		a, _ := c.Attribute(name)
		s.attributes[name] = &attribute{Attribute: a, derive: derivations[a.Derived], screened: a.Groups || a.Derived != "" || s.hasSignals(name)}
	}
	for _, purpose := range c.Purposes() {
		for _, name := range c.Attributes() {
			if revision.Verdict(purpose, name).Max > policies.Withheld {
				s.admitted[purpose] = append(s.admitted[purpose], s.attributes[name])
			}
		}
	}
	if a := s.attributes[attributePersona]; a != nil {
		s.profile = a.Category
	}
	for _, g := range c.Groups() {
		entry := &groupEntry{key: "g:" + string(g.ID), value: privacy.NewPlain(string(g.ID))}
		for _, w := range g.Weights {
			entry.points = append(entry.points, point{slices.Index(s.inferences, w.Inference), w.Weight})
		}
		if coarse, ok := c.GeneralizeGroup(g.ID); ok {
			entry.coarse = string(coarse)
		}
		s.groups[g.ID] = entry
	}
	if _, ok := c.Purpose(purposeMarketing); ok {
		s.marketing = []privacy.Purpose{purposeMarketing}
	}
	s.columns = s.columnsOf()
	s.banded = slices.ContainsFunc(s.columns, func(a *attribute) bool { return a.Generalize != nil && a.Generalize.Function == "age_band" })
	s.shape = s.profileShape()
	return s
}

func (s *sheet) hasSignals(name privacy.AttributeName) bool {
	for key := range s.values {
		if key.attribute == name {
			return true
		}
	}
	return false
}

func (s *sheet) knowsPurpose(id privacy.Purpose) bool {
	_, ok := s.catalogue.Purpose(id)
	return ok
}

func (s *sheet) knowsChannel(id privacy.Channel) bool {
	_, ok := s.catalogue.Channel(id)
	return ok
}

// item makes the item for a stored value of an attribute.
func (s *sheet) item(name privacy.AttributeName, value privacy.Plain) item {
	points := s.values[valueKey{name, value.RevealPersonalData()}]
	if len(points) == 0 {
		return item{value: value}
	}
	return item{value: value, key: "a:" + string(name) + "=" + value.RevealPersonalData(), points: points}
}

// pointsOf returns what a contributor of the exposure ledger points to by this revision.
func (s *sheet) pointsOf(key string) []point {
	if len(key) < 2 {
		return nil
	}
	if key[:2] == "g:" {
		if g := s.groups[policies.GroupID(key[2:])]; g != nil {
			return g.points
		}
		return nil
	}
	for i := 2; i < len(key); i++ {
		if key[i] == '=' {
			return s.values[valueKey{privacy.AttributeName(key[2:i]), key[i+1:]}]
		}
	}
	return nil
}

// limits returns, per inference, the sum that must not be reached about a person under
// this law who explicitly agreed to these categories.
func (s *sheet) limits(law privacy.Jurisdiction, purpose *policies.Purpose, agreed []privacy.DataCategory) []int {
	limits := make([]int, len(s.inferences))
	for i, inference := range s.inferences {
		limits[i] = inference.Threshold(law)
		if slices.Contains(agreed, inference.Category) && s.mayBeAgreed(purpose, inference.Category) {
			limits[i] = unlimited
		}
	}
	return limits
}

// mayBeAgreed reports whether the purpose may ask for explicit consent to a category at
// all. A consent to a special category under another purpose changes nothing.
func (s *sheet) mayBeAgreed(purpose *policies.Purpose, id privacy.DataCategory) bool {
	category, ok := s.catalogue.Category(id)
	return ok && (purpose.Special || !category.Special)
}

// reveals reports whether points reach a limit by themselves. Such a value is left out
// for everybody, before anything is computed from it.
func reveals(points []point, limits []int) bool {
	for _, p := range points {
		if p.weight >= limits[p.inference] {
			return true
		}
	}
	return false
}
