package tally

import (
	"slices"
	"time"
)

// Unit is how long the parts of a period are.
type Unit string

// The units, from the finest. Each is made of whole ones before it, in UTC.
const (
	Hour  Unit = "hour"
	Day   Unit = "day"
	Month Unit = "month"
	Year  Unit = "year"
)

// limits say with how many parts a unit gives way to the next.
var limits = map[Unit]int{Hour: 96, Day: 400, Month: 240, Year: 1000}

var coarser = map[Unit]Unit{Hour: Day, Day: Month, Month: Year}

// start is when the part begins that a moment falls into.
func (u Unit) start(at time.Time) time.Time {
	at = at.UTC()
	switch u {
	case Hour:
		return at.Truncate(time.Hour)
	case Day:
		return time.Date(at.Year(), at.Month(), at.Day(), 0, 0, 0, 0, time.UTC)
	case Month:
		return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(at.Year(), 1, 1, 0, 0, 0, 0, time.UTC)
}

// next is when the part after the one that begins at start begins.
func (u Unit) next(start time.Time) time.Time {
	switch u {
	case Hour:
		return start.Add(time.Hour)
	case Day:
		return start.AddDate(0, 0, 1)
	case Month:
		return start.AddDate(0, 1, 0)
	}
	return start.AddDate(1, 0, 0)
}

// series counts by time. It begins with hours and becomes coarser as the period grows, so
// that it has the same parts whatever the order of the entries.
type series struct {
	unit        Unit
	parts       map[int64]*Moment // by the second in which they begin
	first, last time.Time
	more        uint64
}

func (s *series) add(at time.Time, answered, refused bool) {
	if s.parts == nil {
		s.unit, s.parts = Hour, map[int64]*Moment{}
		s.first, s.last = at, at
	}
	s.first, s.last = earlier(s.first, at), later(s.last, at)
	part := s.parts[s.unit.start(at).Unix()]
	if part == nil {
		for s.unit != Year && s.span() > limits[s.unit] {
			s.coarsen()
		}
		if part = s.part(s.unit.start(at)); part == nil {
			s.more++ // thousands of years: the clock was not one
			return
		}
	}
	switch {
	case answered:
		part.Answered++
	case refused:
		part.Refused++
	default:
		part.Other++
	}
}

// part returns the part that begins at a moment, or nil if there are too many.
func (s *series) part(start time.Time) *Moment {
	part := s.parts[start.Unix()]
	if part == nil && len(s.parts) < limits[Year] {
		part = &Moment{Start: start}
		s.parts[start.Unix()] = part
	}
	return part
}

// span is how many parts lie from the first to the last, empty ones too; more than every
// limit stands for itself.
func (s *series) span() int {
	n, last := 1, s.unit.start(s.last)
	for at := s.unit.start(s.first); at.Before(last) && n <= limits[s.unit]; at = s.unit.next(at) {
		n++
	}
	return n
}

func (s *series) coarsen() {
	fine := s.parts
	s.unit, s.parts = coarser[s.unit], map[int64]*Moment{}
	for _, f := range fine {
		part := s.part(s.unit.start(f.Start))
		part.Answered += f.Answered
		part.Refused += f.Refused
		part.Other += f.Other
	}
}

// moments lists the parts in order, with those in between in which nothing happened.
func (s *series) moments() []Moment {
	list := make([]Moment, 0, len(s.parts))
	if len(s.parts) == 0 {
		return list
	}
	if s.span() > limits[s.unit] { // years of a clock that was none
		for _, part := range s.parts {
			list = append(list, *part)
		}
		slices.SortFunc(list, func(a, b Moment) int { return a.Start.Compare(b.Start) })
		return list
	}
	for at := s.unit.start(s.first); !at.After(s.last); at = s.unit.next(at) {
		if part := s.parts[at.Unix()]; part != nil {
			list = append(list, *part)
		} else {
			list = append(list, Moment{Start: at})
		}
	}
	return list
}
