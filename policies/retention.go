package policies

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// Period is a length of time by the calendar, as ISO 8601 writes it: "P3Y", "P18M",
// "P1Y6M", "P30D".
type Period struct{ Years, Months, Days int }

// maxPeriodYears bounds a period: a human life.
const maxPeriodYears = 130

// ParsePeriod reads a period of years, months and days that is longer than nothing. The
// error wraps [privacy.ErrInvalid].
func ParsePeriod(text string) (Period, error) {
	p, rest, last := Period{}, text, 0
	if len(rest) < 3 || rest[0] != 'P' {
		return Period{}, errPeriod
	}
	for rest = rest[1:]; rest != ""; {
		end := 0
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if end == 0 || end > 5 || end == len(rest) || rest[0] == '0' {
			return Period{}, errPeriod
		}
		n, err := strconv.Atoi(rest[:end])
		if err != nil {
			return Period{}, errPeriod
		}
		unit := slices.Index([]byte{'Y', 'M', 'D'}, rest[end]) + 1
		if unit <= last {
			return Period{}, errPeriod
		}
		*[...]*int{&p.Years, &p.Months, &p.Days}[unit-1] = n
		rest, last = rest[end+1:], unit
	}
	if p.days() > maxPeriodYears*366 {
		return Period{}, errPeriod
	}
	return p, nil
}

var errPeriod = fmt.Errorf("want a period of years, months and days such as P3Y or P18M: %w", privacy.ErrInvalid)

// UnmarshalYAML reads a period.
func (p *Period) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := ParsePeriod(node.Value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	*p = parsed
	return nil
}

// String writes the period as [ParsePeriod] reads it. The zero value is "".
func (p Period) String() string {
	text := ""
	for _, part := range [...]struct {
		n    int
		unit string
	}{{p.Years, "Y"}, {p.Months, "M"}, {p.Days, "D"}} {
		if part.n != 0 {
			text += strconv.Itoa(part.n) + part.unit
		}
	}
	if text == "" {
		return ""
	}
	return "P" + text
}

// IsZero reports whether no period was given.
func (p Period) IsZero() bool { return p == Period{} }

// days is the length of the period, no shorter than it ever is.
func (p Period) days() int { return p.Years*366 + p.Months*31 + p.Days }

// After returns the moment at which the period ends that begins at from. A month that has
// no such day ends with its last one: a month from 31 January ends on 28 or 29 February.
func (p Period) After(from time.Time) time.Time { return p.shift(from, 1) }

// Before returns the moment before which whatever began has run through the whole period
// at the time at.
func (p Period) Before(at time.Time) time.Time { return p.shift(at, -1) }

func (p Period) shift(t time.Time, sign int) time.Time {
	year, month, day := t.Date()
	first := time.Date(year, month, 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location()).
		AddDate(0, sign*(12*p.Years+p.Months), 0)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(day, last)-1+sign*p.Days)
}

// RetentionStart is what a period of retention counts from.
type RetentionStart string

// The starts.
const (
	// FromEvent is the event or observation itself.
	FromEvent RetentionStart = "event"
	// FromLastContact is the last that was heard of the person.
	FromLastContact RetentionStart = "last_contact"
)

// RetentionPeriod is how long data of a category are kept (GDPR Article 5(1)(e), KVKK
// Article 4(2)(d)).
type RetentionPeriod struct {
	Category privacy.DataCategory `yaml:"-"`
	// Title is the category's.
	Title Text `yaml:"-"`
	// Keep is the period after which they go in any case.
	Keep Period         `yaml:"keep"`
	From RetentionStart `yaml:"from"`
	// Purposes say how long each needs them, none longer than Keep. What no purpose needs
	// any more that the person has not refused, withdrawn or objected to goes earlier.
	Purposes map[privacy.Purpose]Period `yaml:"purposes"`
	// AfterRefusal is the period when all of Purposes are refused.
	AfterRefusal Period   `yaml:"after_refusal"`
	Laws         []string `yaml:"laws"`
}

// For returns the period for a person who has refused purposes.
func (r *RetentionPeriod) For(refused func(privacy.Purpose) bool) Period {
	if len(r.Purposes) == 0 {
		return r.Keep
	}
	longest := r.AfterRefusal
	for _, purpose := range sortedKeys(r.Purposes) {
		if p := r.Purposes[purpose]; !refused(purpose) && p.days() > longest.days() {
			longest = p
		}
	}
	return longest
}

// ExceptionID names an exception from erasure.
type ExceptionID string

// RetentionGround is why something is kept although the person asks for erasure.
type RetentionGround string

// The grounds of GDPR Article 17(3), points (b), (c), (d) and (e).
const (
	GroundLegalObligation RetentionGround = "legal_obligation"
	GroundPublicHealth    RetentionGround = "public_health"
	GroundArchiving       RetentionGround = "archiving"
	GroundLegalClaims     RetentionGround = "legal_claims"
)

// RetentionCount is what the years of an exception count from.
type RetentionCount string

// The counts.
const (
	CountFromEvent   RetentionCount = "event"
	CountFromYearEnd RetentionCount = "year_end"
)

// RetentionException is what law orders to keep although the person asks for erasure.
type RetentionException struct {
	ID     ExceptionID     `yaml:"-"`
	Title  Text            `yaml:"title"`
	Ground RetentionGround `yaml:"ground"`
	// Article is where the order stands, Exemption where the law of data protection makes
	// room for it, Source where it can be read.
	Article   string `yaml:"article"`
	Exemption string `yaml:"exemption"`
	Source    string `yaml:"source"`
	// Jurisdictions are those of the people to whom it applies.
	Jurisdictions []privacy.Jurisdiction `yaml:"jurisdictions"`
	// InForce and Until are the first and last day of the rule; without Until it holds on.
	InForce    Date           `yaml:"in_force"`
	Until      Date           `yaml:"until"`
	Years      int            `yaml:"years"`
	CountsFrom RetentionCount `yaml:"counts_from"`
	// Events are the streams of which events are kept; Types narrows them to events of
	// some types.
	Events []privacy.DataCategory `yaml:"events"`
	Types  []string               `yaml:"types"`
	// Attributes are kept beside an event that is kept, and as long as the last of them.
	Attributes []privacy.AttributeName `yaml:"attributes"`
}

// Covers reports whether an event of a stream falls under the exception.
func (e *RetentionException) Covers(stream privacy.DataCategory, eventType string) bool {
	return slices.Contains(e.Events, stream) && (len(e.Types) == 0 || slices.Contains(e.Types, eventType))
}

// Ends returns the moment until which something that happened at a time must be kept.
func (e *RetentionException) Ends(at time.Time) time.Time {
	if e.CountsFrom == CountFromYearEnd {
		return time.Date(at.UTC().Year()+1+e.Years, time.January, 1, 0, 0, 0, 0, time.UTC)
	}
	return Period{Years: e.Years}.After(at.UTC())
}

// inForce reports whether the rule holds on a day.
func (e *RetentionException) inForce(at time.Time) bool {
	return !at.Before(e.InForce.Time) && (e.Until.IsZero() || at.Before(e.Until.AddDate(0, 0, 1)))
}

// RecordKind names rows that the house keeps about its own dealings with people.
type RecordKind string

// The kinds of rows.
const (
	ClosedRequests  RecordKind = "closed_request"
	RequestContents RecordKind = "request_contents"
	EndedCases      RecordKind = "ended_case"
	Exposures       RecordKind = "exposure"
	PeopleCounts    RecordKind = "people_count"
)

// RecordKinds lists them.
func RecordKinds() []RecordKind {
	return []RecordKind{ClosedRequests, RequestContents, EndedCases, Exposures, PeopleCounts}
}

// RetentionRecord is how long rows of a kind are kept.
type RetentionRecord struct {
	Kind  RecordKind `yaml:"-"`
	Title Text       `yaml:"title"`
	Keep  Period     `yaml:"keep"`
	Laws  []string   `yaml:"laws"`
}

// RetentionPeriod returns the period of a category, and false if the catalogue has none:
// then the data are kept.
func (c *Catalogue) RetentionPeriod(category privacy.DataCategory) (*RetentionPeriod, bool) {
	p, ok := c.retention.Periods[category]
	return p, ok
}

// RetentionRecord returns the period of a kind of rows, and false if there is none.
func (c *Catalogue) RetentionRecord(kind RecordKind) (*RetentionRecord, bool) {
	r, ok := c.retention.Records[kind]
	return r, ok
}

// RetentionExceptions returns what law orders to keep of people under a jurisdiction on a
// day, sorted by key.
func (c *Catalogue) RetentionExceptions(j privacy.Jurisdiction, at time.Time) []*RetentionException {
	var found []*RetentionException
	for _, id := range sortedKeys(c.retention.Exceptions) {
		if e := c.retention.Exceptions[id]; slices.Contains(e.Jurisdictions, j) && e.inForce(at) {
			found = append(found, e)
		}
	}
	return found
}

// Retains reports whether the catalogue says how long anything is kept. One that was made
// before there were periods does not.
func (c *Catalogue) Retains() bool { return len(c.retention.Periods) > 0 }

// ReportEvery is the longest time between two reports of the periodic destruction.
func (c *Catalogue) ReportEvery() Period { return c.retention.ReportEvery }

// RetentionException returns one exception by its key.
func (c *Catalogue) RetentionException(id ExceptionID) (*RetentionException, bool) {
	e, ok := c.retention.Exceptions[id]
	return e, ok
}
