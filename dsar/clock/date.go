package clock

import (
	"fmt"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Date is a calendar day, without a time and without a place. The zero value is no day.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// The years of which a day can be written.
const (
	firstYear = 1900
	lastYear  = 2199
)

// ParseDate reads a day as YYYY-MM-DD. The error wraps [privacy.ErrInvalid] and does not
// repeat the text.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < firstYear || t.Year() > lastYear {
		return Date{}, fmt.Errorf("parsing a day, which is YYYY-MM-DD, from %d to %d: %w", firstYear, lastYear, privacy.ErrInvalid)
	}
	return dateOf(t), nil
}

// DateIn returns the day that t falls on in a place.
func DateIn(t time.Time, place *time.Location) Date { return dateOf(t.In(place)) }

func dateOf(t time.Time) Date { return Date{t.Year(), t.Month(), t.Day()} }

// noon is a time on the day by which days can be counted.
func (d Date) noon() time.Time { return time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC) }

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// String writes the day as YYYY-MM-DD, and no day as nothing.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.noon().Format(time.DateOnly)
}

// MarshalText writes what [Date.String] does.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [ParseDate] does, and nothing as no day.
func (d *Date) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*d = Date{}
		return nil
	}
	parsed, err := ParseDate(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Weekday returns the day of the week.
func (d Date) Weekday() time.Weekday { return d.noon().Weekday() }

// Compare returns -1, 0 or 1 as d is before, on or after e.
func (d Date) Compare(e Date) int { return d.noon().Compare(e.noon()) }

// Before reports whether d is before e.
func (d Date) Before(e Date) bool { return d.Compare(e) < 0 }

// After reports whether d is after e.
func (d Date) After(e Date) bool { return d.Compare(e) > 0 }

// AddDays returns the day n days later, or earlier if n is negative.
func (d Date) AddDays(n int) Date { return dateOf(d.noon().AddDate(0, 0, n)) }

// DaysUntil counts the days from d to e; it is negative if e is earlier.
func (d Date) DaysUntil(e Date) int { return int(e.noon().Sub(d.noon()).Hours() / 24) }

// AddMonths returns the same day n months later, or the last day of that month if it has
// no such day (Regulation 1182/71 Article 3(2)(c)): a month after 31 January is the end of
// February and never a day in March.
func (d Date) AddMonths(n int) Date {
	first := time.Date(d.Year, d.Month+time.Month(n), 1, 12, 0, 0, 0, time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return Date{first.Year(), first.Month(), min(d.Day, last)}
}

// In returns the moment at which the day has an hour in a place.
func (d Date) In(place *time.Location, hour, minute, second int) time.Time {
	return time.Date(d.Year, d.Month, d.Day, hour, minute, second, 0, place)
}
