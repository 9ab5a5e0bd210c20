package gate

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// Tag stands for a word in a profile: a keyed hash, see [vault.Vault.WordTag].
type Tag = [16]byte

// Profile is what audiences find a person by: everything that the gate would release of
// the columns, as tags. It holds no value.
type Profile struct {
	DataSubject privacy.DataSubjectID
	// Changed is the change of the person that it was made from.
	Changed int64
	// FreshUntil is when it ceases to hold.
	FreshUntil time.Time
	// Age and Household are the tags of the facts of that name. The zero tag is no fact: a
	// person with it is in no audience.
	Age, Household Tag
	// Tags are those of the values, at each level at which a value can be open.
	Tags []Tag
}

// profileVersion changes when the gate comes to make profiles otherwise.
const profileVersion = 1

// The words under which facts are tagged. They are no attributes, which have no colon.
const (
	tagAge       = "fact:age"
	tagHousehold = "fact:household"
	tagShape     = "profile:shape"
)

// profileLevels are the levels at which a value may be open.
var profileLevels = [...]policies.Level{policies.Exact, policies.Generalized, policies.Persona}

// columnsOf returns the attributes by which audiences may be formed. The catalogue refuses
// a column that points to a protected inference; here it is left out once more.
func (s *sheet) columnsOf() []*attribute {
	var columns []*attribute
	for _, name := range s.catalogue.AudienceAttributes() {
		a := s.attributes[name]
		if a.derive != nil || a.List || a.Groups || s.hasSignals(name) || a.Generalize != nil && s.hasSignals(a.Generalize.Attribute) {
			continue
		}
		columns = append(columns, a)
	}
	return columns
}

// profileShape is a digest of all of the catalogue that a profile depends on. Profiles of
// another shape are in no audience until they are made again.
func (s *sheet) profileShape() string {
	var parts []any
	for _, id := range s.catalogue.Jurisdictions() {
		law, _ := s.catalogue.Jurisdiction(id)
		plain := *law
		plain.Title = policies.Text{}
		parts = append(parts, plain)
	}
	for _, a := range s.columns {
		for _, name := range [...]privacy.AttributeName{a.ID, coarserOf(a)} {
			if known, ok := s.catalogue.Attribute(name); ok {
				plain := *known
				plain.Title = policies.Text{}
				parts = append(parts, plain)
			}
		}
	}
	content, err := json.Marshal([]any{profileVersion, s.profile, s.catalogue.Personas(), parts})
	if err != nil {
		panic("gate: catalogue does not encode: " + err.Error()) // plain values only
	}
	digest := sha256.Sum256(content)
	return string(digest[:])
}

func coarserOf(a *attribute) privacy.AttributeName {
	if a.Generalize == nil {
		return ""
	}
	return a.Generalize.Attribute
}

// valueTag stands for a value of an attribute as it is released where the attribute is open
// at level.
func valueTag(v *vault.Vault, name privacy.AttributeName, level policies.Level, word string) Tag {
	return v.WordTag(string(name), level.String(), word)
}

// profileOf makes the profile of a person. Values pass through the same ladder that
// answers a single query, at each level at which a purpose could have it open.
func (s *sheet) profileOf(v *vault.Vault, p *state, person opener, horizon time.Time) (Profile, error) {
	var facts policies.Facts
	p.describe(&facts, s, nil)
	profile := Profile{
		Age:        v.WordTag(tagAge, string(facts.Subject.Age)),
		Household:  v.WordTag(tagHousehold, string(facts.Subject.Household)),
		FreshUntil: s.ageHolds(p, facts.Subject.Jurisdiction, horizon),
	}
	l := ladder{sheet: s, opener: person, law: facts.Subject.Jurisdiction, at: p.at, shared: everybody}
	for _, a := range s.columns {
		for _, level := range profileLevels {
			if level == policies.Persona && a.ID != attributePersona {
				continue
			}
			_, pool, err := l.pool(a, level)
			if err != nil {
				return Profile{}, err
			}
			for _, it := range pool[:min(1, len(pool))] {
				profile.Tags = append(profile.Tags, valueTag(v, a.ID, level, it.value.RevealPersonalData()))
			}
		}
		record, err := person.record(a.Category)
		if err != nil {
			return Profile{}, err
		}
		for _, name := range [...]privacy.AttributeName{a.ID, coarserOf(a)} {
			profile.holdsUntil(s.valueHolds(name, record, p.at))
		}
	}
	slices.SortFunc(profile.Tags, func(a, b Tag) int { return slices.Compare(a[:], b[:]) })
	profile.Tags = slices.Compact(profile.Tags)
	return profile, nil
}

func (p *Profile) holdsUntil(end time.Time) {
	if !end.IsZero() && end.Before(p.FreshUntil) {
		p.FreshUntil = end
	}
}

// valueHolds returns when a value becomes too old to be used; zero: never, or it is.
func (s *sheet) valueHolds(name privacy.AttributeName, record vault.Record, at time.Time) time.Time {
	a, field := s.attributes[name], record[name]
	if a == nil || a.MaxAge.Duration <= 0 || len(field.Values) == 0 {
		return time.Time{}
	}
	if end := field.ObservedAt.Add(a.MaxAge.Duration); !end.Before(at) {
		return end
	}
	return time.Time{}
}

// profileStep is how finely the end of a profile is told: ages change at noon UTC, when the
// day has begun everywhere (see [policies.AgeOn]), laws and what was observed on a day at
// midnight.
const profileStep = 12 * time.Hour

// ageHolds returns until when the person's age, as far as it matters, stays what it is, at
// most horizon.
func (s *sheet) ageHolds(p *state, law privacy.Jurisdiction, horizon time.Time) time.Time {
	birth, ok := p.single(attributeBirth)
	if !ok {
		return horizon
	}
	group := s.catalogue.AgeGroup(law, birth, p.at)
	age, _ := policies.AgeOn(birth, p.at)
	for next := p.at.UTC().Truncate(profileStep).Add(profileStep); next.Before(horizon); next = next.Add(profileStep) {
		if s.catalogue.AgeGroup(law, birth, next) != group {
			return next
		}
		if later, _ := policies.AgeOn(birth, next); s.banded && later != age {
			return next
		}
	}
	return horizon
}

// AgesHold reports whether nobody can have come of age between two moments, under any law.
func AgesHold(a, b time.Time) bool {
	return a.UTC().Truncate(profileStep).Equal(b.UTC().Truncate(profileStep))
}

// String says REDACTED.
func (Profile) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (Profile) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, privacy.Redacted) }
