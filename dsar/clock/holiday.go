package clock

import (
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// HolidayOf returns the name of the public holiday on a day where a regime is, as people
// there call it; empty if it is none. It is for periods of other laws of the same place. A
// day outside the calendar is a [Refusal]; the error always wraps [privacy.ErrInvalid].
func HolidayOf(key Regime, day Date) (string, error) {
	laws, err := embedded()
	if err != nil {
		return "", fmt.Errorf("reading the laws: %w", err)
	}
	r := laws.regimes[key]
	if r == nil || day.IsZero() {
		return "", fmt.Errorf("finding a holiday by regime and day: %w", privacy.ErrInvalid)
	}
	return r.calendar.holiday(day)
}
