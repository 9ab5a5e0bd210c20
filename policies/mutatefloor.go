package policies

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// factsOpen says which fact about a person comes out more open under another catalogue:
// whether an objection binds, whether they are of age, which law applies, whether a
// trigger is fresh. It is empty if none does.
func (c *Catalogue) factsOpen(other *Catalogue) string {
	for _, id := range c.Purposes() {
		before, now := c.purposes[id], other.purposes[id]
		switch {
		case now == nil:
		case before.Marketing && !now.Marketing:
			return fmt.Sprintf("an objection to marketing no longer binds %s", id)
		case now.TriggerWindow.Duration > before.TriggerWindow.Duration:
			return fmt.Sprintf("%s reacts longer to a trigger", id)
		}
	}
	return c.lawIsWeaker(other)
}

// tellsLess says what is weaker in another catalogue beside decisions: what is old or
// adds up to an inference, and what recipients must observe. It is empty if nothing is.
func (c *Catalogue) tellsLess(other *Catalogue) string {
	for _, id := range c.Purposes() {
		before, now := c.purposes[id], other.purposes[id]
		switch {
		case now == nil:
		case now.AudienceMinimum < before.AudienceMinimum:
			return fmt.Sprintf("%s allows smaller audiences", id)
		case missing(before.Obligations, now.Obligations):
			return fmt.Sprintf("%s loses an obligation", id)
		case before.Signals.bindsMore(&now.Signals):
			return fmt.Sprintf("a signal no longer binds %s", id)
		}
	}
	for _, id := range c.Categories() {
		if now := other.categories[id]; now != nil && missing(c.categories[id].Obligations, now.Obligations) {
			return fmt.Sprintf("category %s loses an obligation", id)
		}
	}
	for _, id := range c.Channels() {
		if now := other.channels[id]; now != nil && missing(c.channels[id].Obligations, now.Obligations) {
			return fmt.Sprintf("channel %s loses an obligation", id)
		}
	}
	for _, id := range c.Recipients() {
		now := other.recipients[id]
		switch {
		case now == nil:
		case missing(c.recipients[id].Obligations, now.Obligations):
			return fmt.Sprintf("recipient %s loses an obligation", id)
		case now.Lookback.Duration < c.recipients[id].Lookback.Duration:
			return fmt.Sprintf("what %s was told is forgotten earlier", id)
		}
	}
	for _, name := range c.Attributes() {
		before, now := c.attributes[name].MaxAge.Duration, time.Duration(0)
		if other.attributes[name] == nil {
			continue
		}
		if now = other.attributes[name].MaxAge.Duration; before > 0 && (now == 0 || now > before) {
			return fmt.Sprintf("%s is told when it is older", name)
		}
	}
	if other.personaK < c.personaK {
		return "a persona is offered for fewer people"
	}
	if more := c.keepsMore(other); more != "" {
		return more
	}
	return c.screensLess(other)
}

func missing[T comparable](before, now []T) bool {
	return slices.ContainsFunc(before, func(item T) bool { return !slices.Contains(now, item) })
}

// lawIsWeaker compares which law applies to a country, and of whom it says that they are
// of age.
func (c *Catalogue) lawIsWeaker(other *Catalogue) string {
	rank := map[AgeGroup]int{AgeUnknown: 0, Child: 1, Youth: 2, Adult: 3}
	codes := append(sortedKeys(c.byCountry), "", "XX")
	for _, code := range codes {
		before, now := c.JurisdictionOf(code), other.JurisdictionOf(code)
		if now == UnknownJurisdiction || now == before && sameJurisdiction(c, other, before) {
			continue
		}
		for _, day := range [...]time.Time{time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} {
			for age := range 22 {
				birth := day.AddDate(-age, -6, 0).Format(time.DateOnly)
				if rank[other.AgeGroup(now, birth, day)] > rank[c.AgeGroup(before, birth, day)] {
					return fmt.Sprintf("somebody of %d in %q counts as older", age, code)
				}
			}
		}
		if before == UnknownJurisdiction {
			return fmt.Sprintf("a law applies in %q", code)
		}
	}
	return ""
}

func sameJurisdiction(c, other *Catalogue, id privacy.Jurisdiction) bool {
	before, now := c.jurisdictions[id], other.jurisdictions[id]
	return before != nil && now != nil && before.Majority == now.Majority && slices.Equal(before.Consent, now.Consent)
}

// screensLess compares what points to inferences.
func (c *Catalogue) screensLess(other *Catalogue) string {
	for _, before := range c.inferenceOrder {
		now, ok := other.inferences[before.ID]
		if !ok {
			return fmt.Sprintf("nothing points to %s any more", before.ID)
		}
		if now.Category != before.Category {
			return fmt.Sprintf("%s is told on consent to something else", before.ID)
		}
		for _, j := range append(c.Jurisdictions(), "XX") {
			if now.Threshold(j) > before.Threshold(j) {
				return fmt.Sprintf("%s takes more in %s", before.ID, j)
			}
		}
	}
	weight := func(weights []Weight, id InferenceID) int {
		for _, w := range weights {
			if w.Inference.ID == id {
				return w.Weight
			}
		}
		return 0
	}
	for _, before := range c.groupOrder {
		now, ok := other.groups[before.ID]
		if !ok {
			continue // what has no group is not told
		}
		if before.Tainted && !now.Tainted {
			return fmt.Sprintf("%s may name others", before.ID)
		}
		for _, w := range before.Weights {
			if weight(now.Weights, w.Inference.ID) < w.Weight {
				return fmt.Sprintf("%s points less to %s", before.ID, w.Inference.ID)
			}
		}
	}
	for key, weights := range c.valueSignals {
		for _, w := range weights {
			if weight(other.valueSignals[key], w.Inference.ID) < w.Weight {
				return fmt.Sprintf("a value of %s points less to %s", key.attribute, w.Inference.ID)
			}
		}
	}
	return ""
}
