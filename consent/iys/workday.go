package iys

import (
	"fmt"
	"time"

	"github.com/mahrem/mahrem/dsar/clock"
)

// registerWithin is how many business days there are to register a consent (By-law on
// Commercial Electronic Messages, Article 5).
const registerWithin = 3

// Deadline is the last moment at which a consent that was given at a time can be
// registered: the same time of the day, three business days later. What was given on a day
// off counts from the beginning of the next business day, so that a later consent never has
// an earlier deadline.
//
// Business days are Monday to Friday without public holidays (Law 2429); half days count.
// The error wraps [privacy.ErrInvalid] when the calendar does not know the year: no
// deadline is guessed.
func Deadline(given time.Time) (time.Time, error) {
	given = given.In(Place)
	day := clock.DateIn(given, Place)
	open, err := IsBusinessDay(day)
	for ; err == nil && !open; open, err = IsBusinessDay(day) {
		day = day.AddDays(1)
		given = day.In(Place, 0, 0, 0)
	}
	if err != nil {
		return time.Time{}, err
	}
	for left := registerWithin; left > 0; {
		day = day.AddDays(1)
		open, err = IsBusinessDay(day)
		if err != nil {
			return time.Time{}, err
		}
		if open {
			left--
		}
	}
	return day.In(Place, given.Hour(), given.Minute(), given.Second()), nil
}

// IsBusinessDay reports whether a day is one in Turkey. The error wraps
// [privacy.ErrInvalid] when the calendar does not know the year.
func IsBusinessDay(day clock.Date) (bool, error) {
	holiday, err := clock.HolidayOf(clock.KVKK, day)
	if err != nil {
		return false, fmt.Errorf("counting business days: %w", err)
	}
	return holiday == "" && day.Weekday() != time.Saturday && day.Weekday() != time.Sunday, nil
}

// isLate reports whether a consent can no longer be registered. What is older than a month
// is, whatever the holidays were, so that only days that the calendar knows are asked for.
func isLate(given, now time.Time) (bool, error) {
	if now.Sub(given) > 31*24*time.Hour {
		_, err := IsBusinessDay(clock.DateIn(now, Place))
		return true, err
	}
	last, err := Deadline(given)
	return now.After(last), err
}
