package cleanroom

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Limits of a query.
const (
	MaximumQuery      = 64 << 10 // bytes
	maximumSources    = 4
	maximumPredicates = 4
	maximumKeys       = 3
	maximumMetrics    = 8
	maximumGroups     = 10_000
	// maximumNumbers bounds what an answer may be made of, and so how long it is.
	maximumNumbers = 50_000
	// MinimumNoise is the least noise that may be asked for, in people.
	MinimumNoise = 10
	maximumNoise = 100_000
)

// Operators of predicates.
const (
	opEquals  = "="
	opIn      = "in"
	opBetween = "between"
)

// ParseQuery reads a query and checks all of it that can be checked without knowing the room.
// Errors are [privacy.FieldError]s with a JSON pointer. What it names is looked up by
// [NewQuestion].
func ParseQuery(document []byte) (*Query, error) {
	if len(document) > MaximumQuery {
		return nil, fault("", "the query is too long")
	}
	var q Query
	if err := parseDocument(document, &q); err != nil {
		return nil, err
	}
	if q.Template != "" && len(q.From) == 0 {
		return &q, q.checkValuesOnly()
	}
	if q.Values != nil {
		return nil, fault("/values", "values are for a query that names a template and says nothing else")
	}
	return &q, q.check()
}

// checkValuesOnly checks a query that is a template's name and what fills its holes.
func (q *Query) checkValuesOnly() error {
	for _, f := range []struct {
		name string
		set  bool
	}{{"join", q.Join != ""}, {"where", q.Where != nil}, {"group_by", q.GroupBy != nil}, {"metrics", q.Metrics != nil}} {
		if f.set {
			return fault("/"+f.name, "a query that follows a template without from says nothing but values")
		}
	}
	if err := q.checkHead(); err != nil {
		return err
	}
	if q.Privacy != (Privacy{}) {
		return within("privacy", q.Privacy.check())
	}
	return nil
}

// checkHead checks what every query says.
func (q *Query) checkHead() error {
	switch {
	case !isName(string(q.Room)):
		return fault("/room", nameRule)
	case !isCatalogueKey(string(q.Purpose)):
		return fault("/purpose", "this is not the key of a purpose")
	}
	if q.Template != "" {
		if _, _, ok := splitTemplate(q.Template); !ok {
			return fault("/template", "this is name@version")
		}
	}
	return nil
}

// check checks the structure of a whole query.
func (q *Query) check() error {
	if err := q.checkHead(); err != nil {
		return err
	}
	switch {
	case len(q.From) == 0:
		return fault("/from", "there must be a dataset")
	case len(q.From) > maximumSources:
		return fault("/from", fmt.Sprintf("there may be %d datasets", maximumSources))
	case len(q.From) > 1 && q.Join != "match":
		return fault("/join", `datasets are joined by "match", and by nothing else`)
	case len(q.From) == 1 && q.Join != "":
		return fault("/join", "there is nothing to join")
	case len(q.Where) > maximumPredicates:
		return fault("/where", fmt.Sprintf("there may be %d predicates", maximumPredicates))
	case len(q.GroupBy) > maximumKeys:
		return fault("/group_by", fmt.Sprintf("there may be %d columns", maximumKeys))
	case len(q.Metrics) > maximumMetrics:
		return fault("/metrics", fmt.Sprintf("there may be %d metrics", maximumMetrics))
	}
	for i, from := range q.From {
		if _, err := ParseDatasetRef(from.Dataset); err != nil {
			return withinList("from", i, fault("/dataset", "this is owner.dataset"))
		}
		if !isName(from.As) {
			return withinList("from", i, fault("/as", nameRule))
		}
		for _, other := range q.From[:i] {
			if other.As == from.As {
				return withinList("from", i, fault("/as", "this name is taken"))
			}
			if other.Dataset == from.Dataset {
				return withinList("from", i, fault("/dataset", "a dataset is not joined with itself"))
			}
		}
	}
	if err := q.checkWhere(); err != nil {
		return err
	}
	for i, column := range q.GroupBy {
		if _, _, ok := splitColumn(column); !ok {
			return withinList("group_by", i, fault("", columnRule))
		}
	}
	if err := q.checkMetrics(); err != nil {
		return err
	}
	return within("privacy", q.Privacy.check())
}

func (q *Query) checkWhere() error {
	for i, p := range q.Where {
		if _, _, ok := splitColumn(p.Column); !ok {
			return withinList("where", i, fault("/col", columnRule))
		}
		if p.Operator != opEquals && p.Operator != opIn && p.Operator != opBetween {
			return withinList("where", i, fault("/op", `this is "=", "in" or "between"`))
		}
	}
	return nil
}

func (q *Query) checkMetrics() error {
	for i, m := range q.Metrics {
		switch m.Function {
		case People:
			if m.Column != "" {
				return withinList("metrics", i, fault("/col", "people are counted, not a column"))
			}
		case Sum, Average, Histogram:
			if _, _, ok := splitColumn(m.Column); !ok {
				return withinList("metrics", i, fault("/col", columnRule))
			}
		default:
			return withinList("metrics", i, fault("/fn", `this is "people", "sum", "avg" or "histogram"`))
		}
		if !isName(m.As) {
			return withinList("metrics", i, fault("/as", nameRule))
		}
		for _, other := range q.Metrics[:i] {
			if other.As == m.As {
				return withinList("metrics", i, fault("/as", "this name is taken"))
			}
			if other.Function == m.Function && other.Column == m.Column {
				return withinList("metrics", i, fault("", "this is asked for already"))
			}
		}
	}
	return nil
}

func (p Privacy) check() error {
	switch {
	case p.NoisePeople < MinimumNoise || p.NoisePeople > maximumNoise:
		return fault("/noise_people", fmt.Sprintf("noise is between %d and %d people", MinimumNoise, maximumNoise))
	case p.MaxGroupsPerPerson < 1 || p.MaxGroupsPerPerson > maximumL0:
		return fault("/max_groups_per_person", fmt.Sprintf("this is between 1 and %d", maximumL0))
	}
	return nil
}

const columnRule = "a column is written alias.column"

// splitColumn splits alias.column.
func splitColumn(s string) (alias, column string, ok bool) {
	alias, column, ok = strings.Cut(s, ".")
	return alias, column, ok && isName(alias) && isName(column)
}

// splitTemplate splits name@version.
func splitTemplate(s string) (name string, version int, ok bool) {
	name, text, ok := strings.Cut(s, "@")
	version, err := strconv.Atoi(text)
	return name, version, ok && err == nil && isName(name) && version >= 1 && version <= maximumVersion && strconv.Itoa(version) == text
}

// words reads the value of "=" or "in" on an enum column.
func (p *Predicate) words() ([]string, error) {
	var words []string
	if p.Operator == opEquals {
		words = make([]string, 1)
		if err := parseDocument(p.Value, &words[0]); err != nil {
			return nil, fault("/val", "this must be a word of the column's domain")
		}
		return words, nil
	}
	if err := parseDocument(p.Value, &words); err != nil || len(words) == 0 {
		return nil, fault("/val", "this must be a list of words of the column's domain")
	}
	return words, nil
}

// span reads the value of "between".
func (p *Predicate) span() (from, to int64, err error) {
	var days []string
	if err := parseDocument(p.Value, &days); err != nil || len(days) != 2 {
		return 0, 0, fault("/val", "this must be [first day, last day]")
	}
	from, ok := parseDay(days[0])
	if !ok {
		return 0, 0, fault("/val/0", "this is a day, as YYYY-MM-DD")
	}
	to, ok = parseDay(days[1])
	if !ok {
		return 0, 0, fault("/val/1", "this is a day, as YYYY-MM-DD")
	}
	return from, to, nil
}

// hole returns the name of the hole that stands in the place of a value.
func (p *Predicate) hole() (string, bool) {
	var h struct {
		Hole string `json:"hole"`
	}
	if len(p.Value) == 0 || p.Value[0] != '{' || parseDocument(json.RawMessage(p.Value), &h) != nil || !isName(h.Hole) {
		return "", false
	}
	return h.Hole, true
}
