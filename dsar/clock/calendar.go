package clock

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// calendar holds the holidays of one place, year by year. Outside its years it knows
// nothing and says so.
type calendar struct {
	key, title, source string
	first, last        int
	// announced is the last year whose holidays are all proclaimed; later ones are those
	// of the statute, and more may come.
	announced int
	full      map[Date]string // names of holidays
	half      map[Date]string // names of what begins at halfEnd
	halfDays  []weekday       // on which work ends at halfEnd
	halfEnd   time.Time       // only the hour and the minute
}

// calendarFile is a file under calendars.
type calendarFile struct {
	Title  string `yaml:"title"`
	Source string `yaml:"source"`
	Years  struct {
		From  int `yaml:"from"`
		Until int `yaml:"until"`
	} `yaml:"years"`
	Announced int           `yaml:"announced"`
	Move      string        `yaml:"move"`
	HalfDays  *halfDaysFile `yaml:"half_days"`
	Holidays  []holidayFile `yaml:"holidays"`
}

type halfDaysFile struct {
	End      string    `yaml:"end"`
	Weekdays []weekday `yaml:"weekdays"`
}

// holidayFile is one holiday: by the day, by Easter, by the day of the week, or by a list.
type holidayFile struct {
	Name   string `yaml:"name"`
	Day    string `yaml:"day"`
	Easter *int   `yaml:"easter"`
	Nth    *struct {
		Month   time.Month `yaml:"month"`
		Weekday weekday    `yaml:"weekday"`
		Count   int        `yaml:"count"` // -1 is the last
	} `yaml:"nth"`
	Dates  []Date `yaml:"dates"`
	Lasts  int    `yaml:"lasts"`
	Eve    string `yaml:"eve"`
	From   int    `yaml:"from"`
	Except []int  `yaml:"except"`
}

// newCalendar lays out every year.
func newCalendar(key string, file *calendarFile) (*calendar, error) {
	c := &calendar{
		key: key, title: file.Title, source: file.Source, first: file.Years.From, last: file.Years.Until, announced: file.Announced,
		full: make(map[Date]string), half: make(map[Date]string),
	}
	if c.announced == 0 {
		c.announced = c.last
	}
	if c.title == "" || c.source == "" || c.first < firstYear || c.last < c.first || c.last >= lastYear || c.announced > c.last {
		return nil, errors.New("title, source or years are missing or make no sense")
	}
	if file.HalfDays != nil {
		end, err := time.Parse("15:04", file.HalfDays.End)
		if err != nil {
			return nil, errors.New("half_days: end is no hour and minute")
		}
		c.halfEnd, c.halfDays = end, file.HalfDays.Weekdays
	}
	var natural []Date
	for _, h := range file.Holidays {
		days, err := h.days(c)
		if err != nil {
			return nil, fmt.Errorf("holiday %q: %w", h.Name, err)
		}
		for _, day := range days {
			for i := range max(1, h.Lasts) {
				if d := day.AddDays(i); c.full[d] == "" {
					c.full[d] = h.Name
					natural = append(natural, d)
				}
			}
			if h.Eve == "half" {
				c.half[day.AddDays(-1)] = h.Name + ", eve"
			}
		}
	}
	slices.SortFunc(natural, Date.Compare)
	return c, c.move(file.Move, natural)
}

// days are the first days of the holiday in each year of the calendar.
func (h *holidayFile) days(c *calendar) ([]Date, error) {
	ways := 0
	for _, given := range []bool{h.Day != "", h.Easter != nil, h.Nth != nil, len(h.Dates) > 0} {
		if given {
			ways++
		}
	}
	if h.Name == "" || ways != 1 || (h.Eve != "" && h.Eve != "half") || h.Eve != "" && c.halfEnd.IsZero() {
		return nil, errors.New("needs a name, and exactly one of day, easter, nth and dates; eve is half, with half_days")
	}
	if len(h.Dates) > 0 {
		for _, d := range h.Dates {
			if d.Year < c.first || d.Year > c.last {
				return nil, fmt.Errorf("%s is outside the years of the calendar", d)
			}
		}
		// What moves every year must be there for every year, or a year would pass as one
		// without the holiday.
		if h.Lasts > 0 && len(h.Dates) != c.last-c.first+1 {
			return nil, fmt.Errorf("has %d dates for %d years", len(h.Dates), c.last-c.first+1)
		}
		return h.Dates, nil
	}
	var days []Date
	for year := max(c.first, h.From); year <= c.last; year++ {
		if slices.Contains(h.Except, year) {
			continue
		}
		switch {
		case h.Easter != nil:
			days = append(days, easter(year).AddDays(*h.Easter))
		case h.Nth != nil:
			days = append(days, nthWeekday(year, h.Nth.Month, time.Weekday(h.Nth.Weekday), h.Nth.Count))
		default:
			d, err := ParseDate(fmt.Sprintf("%04d-%s", year, h.Day))
			if err != nil {
				return nil, err
			}
			days = append(days, d)
		}
	}
	return days, nil
}

// move adds the days on which a holiday is kept instead, or in addition, because of the
// day of the week that it fell on.
func (c *calendar) move(way string, natural []Date) error {
	switch way {
	case "":
	case "next_working_day": // the United Kingdom: a weekend moves behind all holidays that follow
		for _, d := range natural {
			if !weekend(d) {
				continue
			}
			to := d.AddDays(1)
			for weekend(to) || c.full[to] != "" {
				to = to.AddDays(1)
			}
			c.full[to] = c.full[d] + " (substitute day)"
		}
	case "california":
		for _, d := range natural {
			switch {
			case d.Weekday() == time.Sunday:
				c.full[d.AddDays(1)] = c.full[d] + " (observed)"
			case d.Weekday() == time.Saturday && d.Month == time.November && d.Day == 11:
				c.full[d.AddDays(-1)] = c.full[d] + " (observed)"
			}
		}
	case "saturday_after_friday":
		for _, d := range natural {
			if next := d.AddDays(1); d.Weekday() == time.Friday && c.full[next] == "" {
				c.full[next] = c.full[d] + ", the Saturday after"
			}
		}
	default:
		return fmt.Errorf("move %q is unknown", way)
	}
	return nil
}

func weekend(d Date) bool { return d.Weekday() == time.Saturday || d.Weekday() == time.Sunday }

// holiday returns the name of the holiday on a day; empty if it is none.
func (c *calendar) holiday(d Date) (string, error) {
	if d.Year < c.first || d.Year > c.last {
		return "", &Refusal{
			CheckCalendarYears, c.source,
			fmt.Sprintf("the calendar of %s knows %d to %d, and not the holidays of %d", c.title, c.first, c.last, d.Year),
		}
	}
	return c.full[d], nil
}

// ends returns the hour and minute at which a working day ends early, and why.
func (c *calendar) ends(d Date) (time.Time, string, bool) {
	if name := c.half[d]; name != "" {
		return c.halfEnd, name, true
	}
	if slices.Contains(c.halfDays, weekday(d.Weekday())) {
		return c.halfEnd, d.Weekday().String(), true
	}
	return time.Time{}, "", false
}

// easter returns Easter Sunday of the Gregorian calendar, by the anonymous algorithm of
// 1876 (Meeus, Astronomical Algorithms, chapter 8).
func easter(year int) Date {
	a, b, c := year%19, year/100, year%100
	d, e := b/4, b%4
	f := (b + 8) / 25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return Date{year, time.Month(n / 31), n%31 + 1}
}

// nthWeekday returns the nth such day of a month, or the last if n is -1.
func nthWeekday(year int, month time.Month, day time.Weekday, n int) Date {
	if n < 0 {
		last := Date{year, month, 1}.AddMonths(1).AddDays(-1)
		return last.AddDays(-(int(last.Weekday()-day) + 7) % 7)
	}
	first := Date{year, month, 1}
	return first.AddDays((int(day-first.Weekday())+7)%7 + 7*(n-1))
}
