package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// audienceStatement puts what the filter and the conditions demand into [sqlAudience]. The
// added text has column names and numbers of parameters of this file and nothing else:
// every value is a parameter.
func audienceStatement(search *gate.AudienceSearch, at time.Time) (string, []any, error) {
	w := audienceWhere{search: search, arguments: []any{
		search.Shape, at, string(search.Purpose), string(search.Channel), texts(search.General),
		search.Ages, search.Households, search.Countries, search.Laws,
	}}
	var person, consent []string
	for _, tags := range search.Tags {
		person = append(person, "p.tags && "+w.parameter(tags, "uuid[]"))
	}
	for _, term := range conjuncts(search.Filter) {
		early := !judgesConsent(&term)
		text, err := w.condition(&term, early)
		if err != nil {
			return "", nil, err
		}
		if early {
			person = append(person, text)
		} else {
			consent = append(consent, text)
		}
	}
	var b strings.Builder
	b.WriteString(audienceCandidates)
	for _, text := range person {
		b.WriteString("\n        and " + text)
	}
	b.WriteString(audienceMembers)
	for _, text := range consent {
		b.WriteString("\n    and " + text)
	}
	return b.String(), w.arguments, nil
}

// conjuncts returns conditions of which all must hold. Everybody passes none of them.
func conjuncts(filter policies.Filter) []policies.Condition {
	switch {
	case filter.Kind == policies.FilterAll:
		return nil
	case filter.Where != nil && filter.Where.Op == policies.And && len(filter.Where.Terms) > 0:
		return filter.Where.Terms
	case filter.Where != nil:
		return []policies.Condition{*filter.Where}
	}
	return []policies.Condition{{}} // which is no condition
}

// judgesConsent reports whether a condition needs to know of consent or objection.
func judgesConsent(c *policies.Condition) bool {
	switch c.Field {
	case policies.FieldState, policies.FieldExplicit, policies.FieldBasis, policies.FieldIncentive, policies.FieldObjected:
		return true
	}
	return slices.ContainsFunc(c.Terms, func(t policies.Condition) bool { return judgesConsent(&t) })
}

// audienceWhere turns conditions into SQL.
type audienceWhere struct {
	search    *gate.AudienceSearch
	arguments []any
}

func (w *audienceWhere) parameter(value any, sort string) string {
	w.arguments = append(w.arguments, value)
	return "$" + strconv.Itoa(len(w.arguments)) + "::" + sort
}

// condition is the SQL of a condition, true or false and never null. early is whether it
// stands among the candidates. What it does not know is an error: nobody is found by half a
// filter.
func (w *audienceWhere) condition(c *policies.Condition, early bool) (string, error) {
	switch {
	case c.Op == policies.And && len(c.Terms) > 0:
		return w.compound(c.Terms, " and ", early)
	case c.Op == policies.Or && len(c.Terms) > 0:
		return w.compound(c.Terms, " or ", early)
	case (c.Op == policies.In || c.Op == policies.NotIn) && len(c.Terms) == 0:
		text, err := w.in(c.Field, c.Values, early)
		if c.Op == policies.NotIn {
			text = "not " + text
		}
		return text, err
	}
	return "", fmt.Errorf("translating filter: operator %d: %w", c.Op, privacy.ErrInvalid)
}

func (w *audienceWhere) compound(terms []policies.Condition, operator string, early bool) (string, error) {
	texts := make([]string, len(terms))
	for i := range terms {
		var err error
		if texts[i], err = w.condition(&terms[i], early); err != nil {
			return "", err
		}
	}
	return "(" + strings.Join(texts, operator) + ")", nil
}

// in is the SQL of a field that has one of the values.
func (w *audienceWhere) in(field policies.Field, values []string, early bool) (string, error) {
	subject, profile, law := "m.", "m.", "m.law"
	if early {
		subject, profile, law = "d.", "p.", "coalesce(l.law, 0)"
	}
	switch field {
	case policies.FieldKnown:
		return strconv.FormatBool(slices.Contains(values, string(policies.Yes))), nil
	case policies.FieldRestricted:
		return yesNo(subject+"restricted", values), nil
	case policies.FieldObjected:
		return yesNo("m.objected", values), nil
	case policies.FieldExplicit:
		return yesNo("m.explicit", values), nil
	case policies.FieldIncentive:
		return yesNo("m.incentive", values), nil
	case policies.FieldState:
		return w.numbered("m.state", numbersOf(gate.CellStates[:], values)), nil
	case policies.FieldBasis:
		return w.numbered("m.basis", numbersOf(gate.CellBases[:], values)), nil
	case policies.FieldAge:
		return tagged(w, profile+"age", gate.CellAges[:], w.search.Ages, values)
	case policies.FieldHousehold:
		return tagged(w, profile+"household", gate.CellHouseholds[:], w.search.Households, values)
	case policies.FieldJurisdiction:
		return w.numbered(law, numbersOf(w.search.LawNames, values)), nil
	}
	return "", fmt.Errorf("translating filter: field %s: %w", field, privacy.ErrInvalid)
}

func yesNo(column string, values []string) string {
	yes, no := slices.Contains(values, string(policies.Yes)), slices.Contains(values, string(policies.No))
	switch {
	case yes && no:
		return "true"
	case yes:
		return column
	case no:
		return "(not " + column + ")"
	}
	return "false"
}

// numbered compares numbers in the place of words.
func (w *audienceWhere) numbered(column string, numbers []int32) string {
	return "(" + column + " = any (" + w.parameter(numbers, "integer[]") + "))"
}

// numbersOf are the indexes of the values among words. What is no word has none, and is
// nobody's.
func numbersOf[T ~string](words []T, values []string) []int32 {
	numbers := []int32{}
	for i, word := range words {
		if slices.Contains(values, string(word)) {
			numbers = append(numbers, int32(i))
		}
	}
	return numbers
}

// tagged compares tags in the place of words, which were given in the order of words.
func tagged[T ~string](w *audienceWhere, column string, words []T, tags []gate.Tag, values []string) (string, error) {
	if len(words) != len(tags) {
		return "", fmt.Errorf("translating filter: %d tags for %d words: %w", len(tags), len(words), privacy.ErrInvalid)
	}
	wanted := []gate.Tag{}
	for i, word := range words {
		if slices.Contains(values, string(word)) {
			wanted = append(wanted, tags[i])
		}
	}
	return "(" + column + " = any (" + w.parameter(wanted, "uuid[]") + "))", nil
}
