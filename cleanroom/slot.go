package cleanroom

import (
	"slices"
	"strconv"
	"time"
)

// MaximumSlots are how many dimensions, days and hidden columns, and how many measures a
// dataset may have.
const (
	MaximumDimensions = 8
	MaximumMeasures   = 4
)

// SlotOf returns where a snapshot under this contract keeps a column: dimensions, days and
// hidden columns are d1, d2 and so on in the order of the contract, measures m1, m2 and so on.
func (c *Contract) SlotOf(name string) (Slot, bool) {
	dimensions, measures := 0, 0
	for i := range c.Columns {
		column := &c.Columns[i]
		prefix, number := "d", &dimensions
		if column.Role == Measure {
			prefix, number = "m", &measures
		}
		*number++
		if column.Name == name {
			return Slot(prefix + strconv.Itoa(*number)), true
		}
	}
	return "", false
}

// Encode returns what a snapshot keeps for a value of the column: the place of a word in the
// domain, the days from 1970-01-01 to a day (YYYY-MM-DD), or the number itself. It reports
// false for what the contract does not provide for; a word outside the domain becomes the
// place of Other if there is one.
func (c *Column) Encode(value string) (int64, bool) {
	switch c.Type {
	case Enum:
		place := slices.Index(c.Domain, value)
		if place < 0 && c.Other != "" {
			place = slices.Index(c.Domain, c.Other)
		}
		return int64(place), place >= 0
	case Day:
		day, ok := parseDay(value)
		first, _ := parseDay(c.First)
		last, _ := parseDay(c.Last)
		return day, ok && first <= day && day <= last
	case Integer:
		number, err := strconv.ParseInt(value, 10, 64)
		// What one person adds is clamped later: a single row may lie outside the bounds, but
		// not so far that sums of rows could overflow.
		return number, err == nil && -LargestMeasure <= number && number <= LargestMeasure && strconv.FormatInt(number, 10) == value
	}
	return 0, false
}

// Hides reports whether a row with this word has no place in the column: the column is of a
// vocabulary of the catalogue, whose protected words nobody asks about, and this one would be asked
// about as a part of whatever is left. Where all harmless words are in the domain, nothing else is.
func (c *Column) Hides(word string, protected func(word string) bool) bool {
	return c.Vocabulary != "" && c.Other != "" && protected != nil && !slices.Contains(c.Domain, word) && protected(word)
}

// LargestMeasure bounds the values and the bounds of measures, so that no sum over people can
// overflow: 900 million of them fit.
const LargestMeasure = 10_000_000_000

// parseDay returns the days from 1970-01-01 to s.
func parseDay(s string) (int64, bool) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil || day.Year() < 1900 || day.Year() > 2200 {
		return 0, false
	}
	return int64(day.Sub(time.Unix(0, 0)) / (24 * time.Hour)), true
}

// formatDay is the inverse of parseDay.
func formatDay(day int64) string {
	return time.Unix(day*24*60*60, 0).UTC().Format(time.DateOnly)
}
