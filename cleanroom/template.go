package cleanroom

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// maximumTemplate is how long a template may be as it is signed: twice what a query may be, which
// has no less in it than its template.
const maximumTemplate = 2 * MaximumQuery

// ParseTemplate reads and checks a template. Errors are [privacy.FieldError]s with a JSON
// pointer. What its query names is looked up when it is asked.
func ParseTemplate(document []byte) (*Template, error) {
	var t Template
	if err := parseDocument(document, &t); err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	return &t, nil
}

// Canonical returns the template as it is signed: RFC 8785 JSON.
func (t *Template) Canonical() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return canonicalDocument(t)
}

// mayBeSigned refuses a template that is too long. One that was filed before there was an end
// stays where it is, and is read.
func mayBeSigned(canonical []byte) error {
	if len(canonical) > maximumTemplate {
		return fault("/query", fmt.Sprintf("a template has at most %d bytes", maximumTemplate))
	}
	return nil
}

// String returns name@version, which is how queries name it.
func (t *Template) String() string { return t.Name + "@" + strconv.Itoa(t.Version) }

func (t *Template) check() error {
	switch {
	case !isName(t.Name):
		return fault("/name", nameRule)
	case t.Version < 1 || t.Version > maximumVersion:
		return fault("/version", "versions are counted from 1")
	case t.Query.Template != "":
		return fault("/query/template", "the query of a template follows no template")
	case t.Query.Values != nil:
		return fault("/query/values", "a template has holes, and whoever asks the values")
	}
	if err := t.Query.check(); err != nil {
		return within("query", err)
	}
	seen := map[string]bool{}
	columns := map[string]bool{}
	for i := range t.Query.Where {
		p := &t.Query.Where[i]
		if columns[p.Column] {
			return within("query", withinList("where", i, fault("/col", "this column is limited already")))
		}
		columns[p.Column] = true
		if len(p.Value) == 0 || p.Value[0] != '{' {
			continue
		}
		hole, ok := p.hole()
		if !ok {
			return within("query", withinList("where", i, fault("/val", `a hole is {"hole": "name"}`)))
		}
		if seen[hole] {
			return within("query", withinList("where", i, fault("/val/hole", "this hole is there already")))
		}
		seen[hole] = true
	}
	return nil
}

// Holes returns the names of the holes, in the order of the query.
func (t *Template) Holes() []string {
	var holes []string
	for i := range t.Query.Where {
		if hole, ok := t.Query.Where[i].hole(); ok {
			holes = append(holes, hole)
		}
	}
	return holes
}

// Fill returns the query that a request for the template stands for. The request may ask for
// more noise than the template says, and for nothing else that is not in it.
func (t *Template) Fill(request *Query) (*Query, error) {
	switch {
	case request.Template != t.String() || request.Room != t.Query.Room:
		return nil, fault("/template", "this is another template, or one of another room")
	case request.Purpose != t.Query.Purpose:
		return nil, fault("/purpose", "the template is for another purpose")
	}
	values, err := t.valuesOf(request)
	if err != nil {
		return nil, err
	}
	filled := t.Query
	filled.Template = request.Template
	filled.Where = slices.Clone(t.Query.Where)
	for i := range filled.Where {
		if hole, ok := filled.Where[i].hole(); ok {
			filled.Where[i].Value = values[hole]
		}
	}
	if request.Privacy != (Privacy{}) {
		switch {
		case request.Privacy.NoisePeople < t.Query.Privacy.NoisePeople:
			return nil, fault("/privacy/noise_people", "the template asks for more noise")
		case request.Privacy.MaxGroupsPerPerson != t.Query.Privacy.MaxGroupsPerPerson:
			return nil, fault("/privacy/max_groups_per_person", "the template says something else")
		}
		filled.Privacy = request.Privacy
	}
	return &filled, nil
}

// valuesOf returns what a request puts into the holes: its values, or, if it is a whole query,
// what stands in their places.
func (t *Template) valuesOf(request *Query) (map[string]json.RawMessage, error) {
	holes := t.Holes()
	values := request.Values
	if len(request.From) > 0 {
		values = map[string]json.RawMessage{}
		for i := range t.Query.Where {
			own := &t.Query.Where[i]
			hole, ok := own.hole()
			if !ok {
				continue
			}
			place := slices.IndexFunc(request.Where, func(p Predicate) bool {
				return t.names(own.Column) == request.names(p.Column)
			})
			if place >= 0 {
				values[hole] = request.Where[place].Value
			}
		}
	}
	for _, hole := range holes {
		if value, ok := values[hole]; !ok {
			return nil, fault("/values", "a hole of the template is not filled")
		} else if value[0] == '{' {
			return nil, fault("/values/"+hole, "this must be a value")
		}
	}
	if len(values) != len(holes) {
		return nil, fault("/values", "there is a value for a hole that the template does not have")
	}
	return values, nil
}

func (t *Template) names(column string) string { return t.Query.names(column) }

// names returns owner.dataset.column for alias.column, as far as it is known.
func (q *Query) names(column string) string {
	alias, name, _ := splitColumn(column)
	for _, from := range q.From {
		if from.As == alias {
			return from.Dataset + "." + name
		}
	}
	return column
}
