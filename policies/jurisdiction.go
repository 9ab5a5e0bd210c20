package policies

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// UnknownJurisdiction stands for a country to which no jurisdiction applies.
const UnknownJurisdiction privacy.Jurisdiction = "unknown"

// JurisdictionOf returns the jurisdiction for a country code or a jurisdiction's own
// key: "SK" is under "EU". The empty code, a person whose country is not recorded, is
// under the default, the strictest law; a code that nobody claims is
// [UnknownJurisdiction], on which no rule passes.
func (c *Catalogue) JurisdictionOf(code string) privacy.Jurisdiction {
	if code == "" && c.defaultLaw != "" {
		return c.defaultLaw
	}
	if j, ok := c.byCountry[code]; ok {
		return j
	}
	return UnknownJurisdiction
}

// ConsentAge returns the age of digital consent on a day, and false before the first
// rule.
func (j *Jurisdiction) ConsentAge(at time.Time) (int, bool) {
	age, ok := 0, false
	for _, rule := range j.Consent {
		if !rule.From.After(at) {
			age, ok = rule.Age, true
		}
	}
	return age, ok
}

// AgeGroup returns the age group of a person born on a day (YYYY-MM-DD), as of at,
// under a jurisdiction. A date that is missing, malformed, in the future or more than
// 130 years ago, and a jurisdiction that is not known, give [AgeUnknown].
func (c *Catalogue) AgeGroup(id privacy.Jurisdiction, birthDate string, at time.Time) AgeGroup {
	j, ok := c.jurisdictions[id]
	if !ok {
		return AgeUnknown
	}
	age, ok := AgeOn(birthDate, at)
	if !ok {
		return AgeUnknown
	}
	digital, ok := j.ConsentAge(at)
	switch {
	case age >= j.Majority:
		return Adult
	case !ok:
		return AgeUnknown
	case age >= digital:
		return Youth
	}
	return Child
}

// ChildUntil returns the first moment after at from which the law no longer calls the person
// a [Child], or the zero time if it does not do so at that moment. The birthday counts as in
// [AgeOn]; where the age of consent changes, so does the answer.
func (c *Catalogue) ChildUntil(id privacy.Jurisdiction, birthDate string, at time.Time) time.Time {
	if c.AgeGroup(id, birthDate, at) != Child {
		return time.Time{}
	}
	born, err := time.Parse(time.DateOnly, birthDate)
	if err != nil {
		return time.Time{}
	}
	j := c.jurisdictions[id]
	var ends time.Time
	look := func(moment time.Time) {
		if moment.After(at) && (ends.IsZero() || moment.Before(ends)) && c.AgeGroup(id, birthDate, moment) != Child {
			ends = moment
		}
	}
	for age := range j.Majority + 1 {
		look(time.Date(born.Year()+age, born.Month(), born.Day(), 12, 0, 0, 0, time.UTC))
	}
	for _, rule := range j.Consent {
		look(rule.From.Time)
	}
	return ends
}

// ChildhoodEnded returns the last moment up to at from which the law no longer called the
// person a [Child], or the zero time if it does so at that moment, or never did.
func (c *Catalogue) ChildhoodEnded(id privacy.Jurisdiction, birthDate string, at time.Time) time.Time {
	born, err := time.Parse(time.DateOnly, birthDate)
	j, known := c.jurisdictions[id]
	if err != nil || !known {
		return time.Time{}
	}
	var ended time.Time
	starts := []time.Time{time.Date(born.Year(), born.Month(), born.Day(), 12, 0, 0, 0, time.UTC)}
	for _, rule := range j.Consent {
		starts = append(starts, rule.From.Time)
	}
	for _, start := range starts {
		for start = c.ChildUntil(id, birthDate, start); !start.IsZero(); start = c.ChildUntil(id, birthDate, start) {
			if !start.After(at) && start.After(ended) {
				ended = start
			}
		}
	}
	if c.AgeGroup(id, birthDate, at) == Child {
		return time.Time{}
	}
	return ended
}

// AgeOn returns the age in whole years on a day of a person born on birthDate
// (YYYY-MM-DD). Who was born on 29 February has a birthday on 1 March in common years. A
// birthday counts once it has begun everywhere, at UTC-12: nobody comes of age early
// because of where our clock stands.
func AgeOn(birthDate string, at time.Time) (int, bool) {
	born, err := time.Parse(time.DateOnly, birthDate)
	if err != nil {
		return 0, false
	}
	at = at.UTC().Add(-12 * time.Hour)
	age := at.Year() - born.Year()
	if at.Month() < born.Month() || at.Month() == born.Month() && at.Day() < born.Day() {
		age--
	}
	if age < 0 || age > 130 || born.After(at) {
		return 0, false
	}
	return age, true
}

// Date is a day in a catalogue file, YYYY-MM-DD.
type Date struct{ time.Time }

// UnmarshalYAML reads a day.
func (d *Date) UnmarshalYAML(node *yaml.Node) error {
	day, err := time.Parse(time.DateOnly, node.Value)
	if err != nil {
		return fmt.Errorf("line %d: want a day as YYYY-MM-DD: %w", node.Line, privacy.ErrInvalid)
	}
	d.Time = day
	return nil
}

// Duration is a length of time in a catalogue file: Go's notation, and "30d" for days.
type Duration struct{ time.Duration }

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	text := node.Value
	var days int
	if n, err := fmt.Sscanf(text, "%dd", &days); err == nil && n == 1 && fmt.Sprintf("%dd", days) == text && days > 0 {
		d.Duration = time.Duration(days) * 24 * time.Hour
		return nil
	}
	parsed, err := time.ParseDuration(text)
	if err != nil || parsed <= 0 {
		return fmt.Errorf("line %d: want a positive duration such as 12h or 30d: %w", node.Line, privacy.ErrInvalid)
	}
	d.Duration = parsed
	return nil
}
