package iys_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// TestDeadline: the days were counted by hand on a calendar of Turkey.
func TestDeadline(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, given, want string }{
		{"Monday to Thursday", "2026-11-09 10:00:00", "2026-11-12 10:00:00"},
		{"over a weekend", "2026-11-12 23:59:59", "2026-11-17 23:59:59"},
		{"on a Saturday", "2026-11-14 10:00:00", "2026-11-19 00:00:00"},
		{"on a Sunday", "2026-11-15 10:00:00", "2026-11-19 00:00:00"},
		{"before the new year", "2026-12-30 09:00:00", "2027-01-05 09:00:00"},
		{"over 23 April, a Thursday in 2026", "2026-04-22 09:00:00", "2026-04-28 09:00:00"},
		{"Ramazan 2026: 20 to 22 March, Friday to Sunday", "2026-03-18 09:00:00", "2026-03-24 09:00:00"},
		{"Kurban 2026: 27 to 30 May, Wednesday to Saturday", "2026-05-25 09:00:00", "2026-06-02 09:00:00"},
		{"the eve of Kurban is half a day, and counts", "2026-05-22 09:00:00", "2026-06-01 09:00:00"},
		{"29 October, a Thursday in 2026, its eve counts", "2026-10-27 09:00:00", "2026-11-02 09:00:00"},
		{"Kurban 2025: 6 to 9 June, Friday to Monday", "2025-06-04 09:00:00", "2025-06-11 09:00:00"},
		{"on the first day of Kurban 2026", "2026-05-27 15:00:00", "2026-06-04 00:00:00"},
		{"in leap year's February", "2028-02-24 09:00:00", "2028-03-01 09:00:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := iys.Deadline(date(c.given))
			if err != nil || !got.Equal(date(c.want)) {
				t.Errorf("given %s: until %s, %v; want %s", c.given, got.Format(time.DateTime), err, c.want)
			}
		})
	}
}

// TestDeadlineOutsideTheCalendar: no day is guessed, neither for the deadline nor in a
// check.
func TestDeadlineOutsideTheCalendar(t *testing.T) {
	t.Parallel()
	for _, given := range []string{"2017-12-20 09:00:00", "2030-12-30 09:00:00", "2031-05-05 09:00:00", "2099-01-01 09:00:00"} {
		_, err := iys.Deadline(date(given))
		if !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("given %s: %v, want an error", given, err)
		}
		if _, ok := errors.AsType[*clock.Refusal](err); !ok {
			t.Errorf("given %s: %v does not say that the calendar ends", given, err)
		}
		c := taken()
		c.At = date(given)
		if _, err := iys.Check(&c, iys.Registered{}, iys.Terms{Now: c.At.Add(time.Hour)}); err == nil {
			t.Errorf("given %s: checked without a calendar", given)
		}
	}
	c := taken()
	c.At = date("2026-11-17 09:30:00")
	if _, err := iys.Check(&c, iys.Registered{}, iys.Terms{Now: date("2031-02-03 12:00:00")}); err == nil {
		t.Error("an old consent is checked on a day that the calendar does not know")
	}
}

// The last moment at which a consent can be registered, over a holiday and a weekend.
func ExampleDeadline() {
	given, _ := iys.ParseTime("2026-10-28 16:00:00")
	last, err := iys.Deadline(given)
	fmt.Println(last.Format(time.DateTime), err)
	// Output: 2026-11-03 16:00:00 <nil>
}
