package gate

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// opener opens what the plan granted, and only that: the ladder asks it for a category
// after it has found the category open.
type opener interface {
	// record returns what is held in a category; nil if there is nothing.
	record(category privacy.DataCategory) (vault.Record, error)
	// events returns the newest events of a stream, in any order.
	events(stream privacy.DataCategory) ([]event, error)
}

// ladder takes each requested attribute down from exact to what may be told.
type ladder struct {
	sheet  *sheet
	plan   *policies.Plan
	opener opener
	law    privacy.Jurisdiction
	at     time.Time
	// purpose is the query's.
	purpose *policies.Purpose
	limits  []int
	told    ledger
	tie     func(key string) uint64
	// shared reports whether enough people share a persona label for it to be told.
	shared func(policies.PersonaID) bool

	derivedFrom []derivedFrom
}

// release is what the ladder leaves of a request.
type release struct {
	attributes map[privacy.AttributeName]Released
	// contributors are the ledger keys of what is told and points to something.
	contributors []string
	// reasons are the catalogue checks that lowered a level, sorted.
	reasons []string
	// suppressed is whether composition took something away. It is for counters alone.
	suppressed bool
}

// run releases what may be told of the attributes.
func (l *ladder) run(attributes []*attribute) (release, error) {
	slots := make([]slot, len(attributes))
	levels := make([]policies.Level, len(attributes))
	var out release
	for i, a := range attributes {
		verdict := l.sheet.revision.Verdict(l.purpose.ID, a.ID)
		for _, reason := range verdict.Reasons {
			if at, found := slices.BinarySearch(out.reasons, reason); !found {
				out.reasons = slices.Insert(out.reasons, at, reason)
			}
		}
		var err error
		levels[i] = l.level(a, verdict)
		if levels[i], slots[i].pool, err = l.pool(a, levels[i]); err != nil {
			return release{}, err
		}
		slots[i].size = l.size(a, levels[i])
	}
	out.suppressed = l.compose(slots)
	out.attributes = make(map[privacy.AttributeName]Released, len(attributes))
	for i, a := range attributes {
		l.take(&out, a, levels[i], &slots[i])
	}
	slices.Sort(out.contributors)
	out.contributors = slices.Compact(out.contributors)
	return out, nil
}

// level is what catalogue and plan leave of an attribute, whatever its value.
func (l *ladder) level(a *attribute, verdict policies.Verdict) policies.Level {
	level := min(verdict.Max, l.plan.Ceiling)
	if !l.plan.Grants(a.Category) {
		level = policies.Withheld
	}
	if level <= policies.Persona {
		level = policies.Withheld
		if l.plan.Persona && a.Persona {
			level = policies.Persona
		}
	}
	return level
}

// pool returns the values of an attribute at a level. The level may come out lower:
// what was seen on a social network or worked out is never told exactly.
func (l *ladder) pool(a *attribute, level policies.Level) (policies.Level, []item, error) {
	switch level {
	case policies.Exact, policies.Generalized:
	case policies.Persona:
		pool, err := l.persona()
		return level, pool, err
	default:
		return level, nil, nil
	}
	if a.derive != nil {
		pool, err := l.derived(a)
		if err != nil {
			return level, nil, err
		}
		if level == policies.Generalized {
			pool = l.sheet.generalize(a, pool, nil, l.at)
		}
		return level, pool, nil
	}
	record, err := l.opener.record(a.Category)
	if err != nil {
		return level, nil, err
	}
	if source := record[a.ID].Source; source == vault.Social || source == vault.Inferred {
		level = policies.Generalized
	}
	pool := l.harmless(l.sheet.storedItems(a.ID, record, l.at))
	if level == policies.Generalized && len(pool) > 0 {
		pool = l.harmless(l.sheet.generalize(a, pool, record, l.at))
	}
	if a.ID == attributePersona {
		pool = l.crowded(pool)
	}
	return level, pool, nil
}

// storedItems returns the values of a stored attribute that may be used at all: not
// disputed, not older than the catalogue allows, and verified where it demands that.
func (s *sheet) storedItems(name privacy.AttributeName, record vault.Record, at time.Time) []item {
	a, field := s.attributes[name], record[name]
	if a == nil || len(field.Values) == 0 || field.Quality == vault.Disputed || a.Verified && field.Quality != vault.Verified {
		return nil
	}
	if a.MaxAge.Duration > 0 && at.Sub(field.ObservedAt) > a.MaxAge.Duration {
		return nil
	}
	pool := make([]item, 0, len(field.Values))
	for _, value := range field.Values {
		if a.Groups {
			if group := s.groups[policies.GroupID(value.RevealPersonalData())]; group != nil {
				pool = append(pool, item{value: value, quality: field.Quality, key: group.key, points: group.points})
			}
			continue
		}
		it := s.item(name, value)
		it.quality = field.Quality
		pool = append(pool, it)
	}
	return pool
}

// persona returns the label that stands in for individual data. A label that the
// catalogue does not have (any more) is not told.
func (l *ladder) persona() ([]item, error) {
	record, err := l.opener.record(l.sheet.profile)
	if err != nil {
		return nil, err
	}
	pool := l.harmless(l.sheet.storedItems(attributePersona, record, l.at))
	pool = slices.DeleteFunc(pool, func(it item) bool {
		_, known := l.sheet.catalogue.Persona(policies.PersonaID(it.value.RevealPersonalData()))
		return !known
	})
	return l.crowded(pool), nil
}

// crowded drops persona labels that too few people share: among a handful a label tells
// of one.
func (l *ladder) crowded(pool []item) []item {
	return slices.DeleteFunc(pool, func(it item) bool { return !l.shared(policies.PersonaID(it.value.RevealPersonalData())) })
}

// harmless drops the values that reveal something by themselves.
func (l *ladder) harmless(pool []item) []item {
	return slices.DeleteFunc(pool, func(it item) bool { return reveals(it.points, l.limits) })
}

// size is how many values of an attribute may stand in the answer.
func (l *ladder) size(a *attribute, level policies.Level) int {
	if l.isList(a, level) {
		return min(a.Length, shapes[0])
	}
	return 1
}

// isList reports whether an attribute is a list at a level. A persona and a count are
// single values.
func (l *ladder) isList(a *attribute, level policies.Level) bool {
	return a.List && (level == policies.Exact || level == policies.Generalized && a.Generalize != nil && a.Generalize.Function != "count")
}

// compose runs inference control over the answer and what was told before.
func (l *ladder) compose(slots []slot) bool {
	exposed := make([]int, len(l.limits))
	for _, e := range l.told {
		for _, p := range l.sheet.pointsOf(e.key) {
			exposed[p.inference] += p.weight
		}
	}
	if len(l.told) > 0 {
		for i := range slots {
			for j := range slots[i].pool {
				it := &slots[i].pool[j]
				_, it.told = l.told.find(it.key)
			}
		}
	}
	c := composition{limits: l.limits, exposed: exposed, tie: l.tie}
	return c.compose(slots)
}

// take puts what is left of a slot into the release.
func (l *ladder) take(out *release, a *attribute, level policies.Level, s *slot) {
	n := len(s.chosen)
	list := l.isList(a, level)
	if list {
		n = shape(n)
	}
	if n == 0 {
		return
	}
	values := make([]privacy.Plain, n)
	for i, j := range s.chosen[:n] {
		it := &s.pool[j]
		values[i] = it.value
		if len(it.points) > 0 {
			out.contributors = append(out.contributors, it.key)
		}
	}
	out.attributes[a.ID] = Released{Values: values, List: list, Level: level, Quality: s.pool[s.chosen[0]].quality}
}
