package clock

import (
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Law is what a regime says about one right, as it was in force when a request came.
type Law struct {
	regime  *regime
	version *version
	rule    *rule
	place   *time.Location
}

// LawOf returns the law for a request that came at a time. Errors wrap
// [privacy.ErrInvalid]; that no version was in force yet is a [Refusal].
func LawOf(key Regime, right Right, received time.Time) (*Law, error) {
	return lawOf(key, right, received, nil)
}

func lawOf(key Regime, right Right, received time.Time, place *time.Location) (*Law, error) {
	laws, err := embedded()
	if err != nil {
		return nil, fmt.Errorf("reading the laws: %w", err)
	}
	if right == "" {
		right = Access
	}
	r := laws.regimes[key]
	if r == nil || !slices.Contains(Rights(), right) || received.IsZero() {
		return nil, fmt.Errorf("finding the law of a request by regime, right and time of receipt: %w", privacy.ErrInvalid)
	}
	if place == nil {
		place = r.place
	}
	day := DateIn(received, place)
	for _, v := range r.versions {
		if day.Before(v.From) || !v.Until.IsZero() && day.After(v.Until) {
			continue
		}
		for _, rule := range v.Rules {
			if slices.Contains(rule.Rights, right) {
				return &Law{r, v, rule, place}, nil
			}
		}
	}
	return nil, &Refusal{CheckRuleInForce, r.versions[0].Start.Source, fmt.Sprintf("%s was not in force before %s", key, r.versions[0].From)}
}

// Place is where the days of this law begin and end.
func (l *Law) Place() *time.Location { return l.place }

// Title is what people call the law, in en, tr or cs; another language gives English.
func (l *Law) Title(language string) string {
	if title := l.regime.title[language]; title != "" {
		return title
	}
	return l.regime.title["en"]
}

// Article is where the period for an answer stands.
func (l *Law) Article() string { return l.rule.Answer.Source }

// Acknowledges reports whether receipt must be confirmed within a period of its own.
func (l *Law) Acknowledges() bool { return l.rule.Acknowledge != nil }

// Extends reports whether the period can be extended at all, and where that stands.
func (l *Law) Extends() (bool, string) { return l.rule.Extension.exists(), l.rule.Extension.Source }

// Pause returns what becomes of the clock when the controller must ask for something, and
// where that stands. A ground that is unknown pauses nothing.
func (l *Law) Pause(g Ground) (Effect, string) {
	if p := l.rule.pause(g); p != nil {
		return p.Effect, p.Source
	}
	return Forbidden, l.rule.Answer.Source
}

// Working reports whether a period can end on a day: it is neither a holiday nor a day of
// the week on which this law lets none end. A day outside the calendar is a [Refusal].
func (l *Law) Working(day Date) (bool, error) {
	name, err := l.regime.calendar.holiday(day)
	return err == nil && name == "" && !slices.Contains(l.version.Roll.Weekdays, weekday(day.Weekday())), err
}

// Holiday returns the name of the public holiday on a day, as people there call it; empty
// if it is none. A day outside the calendar is a [Refusal].
func (l *Law) Holiday(day Date) (string, error) { return l.regime.calendar.holiday(day) }
