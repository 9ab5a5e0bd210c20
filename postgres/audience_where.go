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
	var person, member []string
	for _, tags := range search.Tags {
		person = append(person, "p.tags && "+w.parameter(tags, "uuid[]"))
	}
	for _, term := range conjuncts(search.Filter) {
		early := within(&term, profileFields)
		text, err := w.condition(&term, early)
		if err != nil {
			return "", nil, err
		}
		if early {
			person = append(person, text)
		} else {
			member = append(member, text)
		}
	}
	var b strings.Builder
	b.WriteString(audienceCandidates)
	for _, text := range person {
		b.WriteString("\n        and " + text)
	}
	if needsRecord(search.Filter) {
		b.WriteString(audienceChosen)
	} else {
		b.WriteString(audienceAnybody)
	}
	b.WriteString(audienceMembers)
	for _, text := range member {
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

// The fields that a profile answers, and those that records of consent do.
var (
	profileFields = []policies.Field{policies.FieldAge, policies.FieldHousehold}
	consentFields = []policies.Field{policies.FieldState, policies.FieldExplicit, policies.FieldBasis, policies.FieldIncentive, policies.FieldObjected}
)

// within reports whether a condition judges these fields and no others.
func within(c *policies.Condition, fields []policies.Field) bool {
	if len(c.Terms) == 0 {
		return slices.Contains(fields, c.Field)
	}
	return !slices.ContainsFunc(c.Terms, func(t policies.Condition) bool { return !within(&t, fields) })
}

// needsRecord reports whether a filter keeps out everybody who has never chosen anything.
func needsRecord(filter policies.Filter) bool {
	never := policies.Facts{
		Subject: policies.SubjectFacts{Objected: policies.No},
		Consent: policies.ConsentFacts{State: policies.ConsentNeverAsked, Explicit: policies.No, Basis: policies.NoBasis, Incentive: policies.No},
	}
	return slices.ContainsFunc(conjuncts(filter), func(term policies.Condition) bool {
		return within(&term, consentFields) && !term.Match(&never)
	})
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
	switch field {
	case policies.FieldKnown:
		return strconv.FormatBool(slices.Contains(values, string(policies.Yes))), nil
	case policies.FieldRestricted:
		return yesNo("d.restricted", values), nil
	case policies.FieldObjected:
		return yesNo("(m.general or m.given & 7 = 4)", values), nil
	case policies.FieldExplicit:
		return yesNo("(m.given & 64 > 0)", values), nil
	case policies.FieldIncentive:
		return yesNo("(m.given & 128 > 0)", values), nil
	case policies.FieldState:
		return w.numbered("m.given & 7", numbersOf(gate.CellStates[:], values)), nil
	case policies.FieldBasis:
		return w.numbered("m.given >> 3 & 7", numbersOf(gate.CellBases[:], values)), nil
	case policies.FieldAge:
		if early {
			return tagged(w, "p.age", gate.CellAges[:], w.search.Ages, values)
		}
		return w.numbered("m.person & 3", numbersOf(gate.CellAges[:], values)), nil
	case policies.FieldHousehold:
		if early {
			return tagged(w, "p.household", gate.CellHouseholds[:], w.search.Households, values)
		}
		return w.numbered("m.person >> 2", numbersOf(gate.CellHouseholds[:], values)), nil
	case policies.FieldJurisdiction:
		return w.numbered("coalesce(l.law, 0)", numbersOf(w.search.LawNames, values)), nil
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
