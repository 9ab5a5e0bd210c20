package cleanroom

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/mahrem/mahrem/privacy"
)

// Limits of a contract.
const (
	maximumDomain  = 1000
	maximumEdges   = 50
	maximumVersion = 1_000_000
	maximumPeople  = 1_000_000
	maximumL0      = 100
)

// MaximumCap bounds how much may ever be learned about one person of a dataset. Somebody who
// spends so much on one person, and knows everything else, tells in 84 of 100 cases whether
// they are in it; a budget beyond that protects nobody.
const MaximumCap = 2 * OneRho

// ParseContract reads and checks a contract. Errors are [privacy.FieldError]s with a JSON
// pointer.
func ParseContract(document []byte) (*Contract, error) {
	var c Contract
	if err := parseDocument(document, &c); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return &c, nil
}

// Canonical returns the contract as it is signed: RFC 8785 JSON.
func (c *Contract) Canonical() ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return canonicalDocument(c)
}

func (c *Contract) check() error {
	switch {
	case !isCatalogueKey(string(c.Owner)):
		return fault("/owner", "this is not the key of a recipient")
	case !isName(string(c.Dataset)):
		return fault("/dataset", nameRule)
	case c.Version < 1 || c.Version > maximumVersion:
		return fault("/version", "versions are counted from 1")
	case c.Source != FromHouse && c.Source != FromParty:
		return fault("/source", `this is "house" or "party"`)
	case c.Unit != "person" && c.Unit != "household":
		return fault("/unit", `this is "person" or "household"`)
	case len(c.Purposes) == 0 || len(c.Purposes) > 32:
		return fault("/purposes", "there must be one purpose at least, and 32 at most")
	case c.MinimumPeople < 2 || c.MinimumPeople > maximumPeople:
		return fault("/minimum_people", "this is between 2 and 1000000")
	case c.Cap < 1 || c.Cap > MaximumCap:
		return fault("/cap_nanorho", fmt.Sprintf("this is between 1 and %d: more protects nobody", MaximumCap))
	case c.ConsumerCap < 1 || c.ConsumerCap > c.Cap:
		return fault("/consumer_cap_nanorho", "this is between 1 and cap_nanorho")
	case c.QueryCap < 1 || c.QueryCap > c.ConsumerCap:
		return fault("/query_cap_nanorho", "this is between 1 and consumer_cap_nanorho")
	case c.MaxGroupsPerPerson < 1 || c.MaxGroupsPerPerson > maximumL0:
		return fault("/max_groups_per_person", fmt.Sprintf("this is between 1 and %d", maximumL0))
	}
	for i, purpose := range c.Purposes {
		if !isCatalogueKey(string(purpose)) {
			return withinList("purposes", i, fault("", "this is not the key of a purpose"))
		}
		if slices.Contains(c.Purposes[:i], purpose) {
			return withinList("purposes", i, fault("", "this purpose is there already"))
		}
	}
	return c.checkColumns()
}

func (c *Contract) checkColumns() error {
	dimensions, measures := 0, 0
	for i := range c.Columns {
		column := &c.Columns[i]
		if err := column.check(); err != nil {
			return withinList("columns", i, err)
		}
		if slices.ContainsFunc(c.Columns[:i], func(other Column) bool { return other.Name == column.Name }) {
			return withinList("columns", i, fault("/name", "this column is there already"))
		}
		if column.Role == Measure {
			measures++
		} else {
			dimensions++
		}
	}
	if dimensions > MaximumDimensions || measures > MaximumMeasures {
		return fault("/columns", fmt.Sprintf("there may be %d dimensions, days and hidden columns, and %d measures", MaximumDimensions, MaximumMeasures))
	}
	return nil
}

func (c *Column) check() error {
	switch {
	case !isName(c.Name):
		return fault("/name", nameRule)
	case !isCatalogueKey(string(c.Category)):
		return fault("/category", "this is not the key of a data category")
	case c.Role != Dimension && c.Role != Measure && c.Role != Hidden:
		return fault("/role", `this is "dimension", "measure" or "hidden": identifiers are no columns`)
	case c.Role == Measure && c.Type != Integer:
		return fault("/type", `measures are of type "integer"`)
	case c.Role != Measure && c.Type != Enum && c.Type != Day:
		return fault("/type", `dimensions and hidden columns are of type "enum" or "day"`)
	case c.Vocabulary != "" && !isCatalogueKey(c.Vocabulary):
		return fault("/vocabulary", nameRule)
	}
	if err := c.checkForeign(); err != nil {
		return err
	}
	switch c.Type {
	case Enum:
		return c.checkEnum()
	case Day:
		return c.checkDay()
	}
	return c.checkInteger()
}

// checkForeign refuses what columns of another type have.
func (c *Column) checkForeign() error {
	for _, f := range []struct {
		name string
		set  bool
		of   ColumnType
	}{
		{"domain", c.Domain != nil, Enum},
		{"other", c.Other != "", Enum},
		{"vocabulary", c.Vocabulary != "", Enum},
		{"first", c.First != "", Day},
		{"last", c.Last != "", Day},
		{"grid", c.Grid != "", Day},
		{"lo", c.Lo != 0, Integer},
		{"hi", c.Hi != 0, Integer},
		{"bins", c.Bins != nil, Integer},
		{"functions", c.Functions != nil, Integer},
	} {
		if f.set && f.of != c.Type {
			return fault("/"+f.name, "columns of this type do not have this")
		}
	}
	return nil
}

func (c *Column) checkEnum() error {
	if len(c.Domain) == 0 || len(c.Domain) > maximumDomain {
		return fault("/domain", fmt.Sprintf("the domain has between 1 and %d words", maximumDomain))
	}
	seen := make(map[string]bool, len(c.Domain))
	for i, word := range c.Domain {
		switch {
		case word == "" || len(word) > 100 || strings.TrimSpace(word) != word:
			return withinList("domain", i, fault("", "words have between 1 and 100 bytes, and no space around them"))
		case strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsPrint(r) }):
			// Others are shown it before they sign: it must look like what it is.
			return withinList("domain", i, fault("", "words are of letters and signs that one sees, and plain spaces"))
		case seen[word]:
			return withinList("domain", i, fault("", "this word is there already"))
		}
		seen[word] = true
	}
	if c.Other != "" && !seen[c.Other] {
		return fault("/other", "this must be a word of the domain")
	}
	return nil
}

func (c *Column) checkDay() error {
	first, ok := parseDay(c.First)
	if !ok {
		return fault("/first", "this is a day, as YYYY-MM-DD")
	}
	last, ok := parseDay(c.Last)
	switch {
	case !ok:
		return fault("/last", "this is a day, as YYYY-MM-DD")
	case last < first:
		return fault("/last", "this is before the first day")
	case c.Grid != ByDay && c.Grid != ByWeek && c.Grid != ByMonth:
		return fault("/grid", `this is "day", "week" or "month"`)
	case !c.Grid.begins(first):
		return fault("/first", "this must be the first day of a "+string(c.Grid))
	case !c.Grid.begins(last + 1):
		return fault("/last", "this must be the last day of a "+string(c.Grid))
	}
	return nil
}

// begins reports whether a piece of the grid begins on a day. Day 0 was a Thursday.
func (g Grid) begins(day int64) bool {
	switch g {
	case ByDay:
		return true
	case ByWeek:
		return time.Unix(day*24*60*60, 0).UTC().Weekday() == time.Monday
	case ByMonth:
		return time.Unix(day*24*60*60, 0).UTC().Day() == 1
	}
	return false
}

func (c *Column) checkInteger() error {
	switch {
	case c.Lo < -LargestMeasure || c.Lo > LargestMeasure:
		return fault("/lo", fmt.Sprintf("bounds are between -%d and %d", LargestMeasure, LargestMeasure))
	case c.Hi < -LargestMeasure || c.Hi > LargestMeasure:
		return fault("/hi", fmt.Sprintf("bounds are between -%d and %d", LargestMeasure, LargestMeasure))
	case c.Hi < c.Lo:
		return fault("/hi", "this is below lo")
	case c.Lo == 0 && c.Hi == 0:
		return fault("/hi", "a measure between 0 and 0 says nothing")
	case len(c.Functions) == 0:
		return fault("/functions", "a measure has one function at least")
	}
	for i, f := range c.Functions {
		if f != Sum && f != Average && f != Histogram {
			return withinList("functions", i, fault("", `this is "sum", "avg" or "histogram"`))
		}
		if slices.Contains(c.Functions[:i], f) {
			return withinList("functions", i, fault("", "this function is there already"))
		}
	}
	if slices.Contains(c.Functions, Histogram) != (len(c.Bins) > 0) {
		return fault("/bins", "these are the edges of a histogram: there are some exactly if it is allowed")
	}
	if len(c.Bins) > maximumEdges {
		return fault("/bins", fmt.Sprintf("there may be %d edges", maximumEdges))
	}
	for i, edge := range c.Bins {
		if edge < -LargestMeasure || edge > LargestMeasure || i > 0 && edge <= c.Bins[i-1] {
			return withinList("bins", i, fault("", "edges ascend, within the bounds of measures"))
		}
	}
	return nil
}

const nameRule = "a name has lower-case letters, digits and underscores, begins with a letter, and is at most 40 long"

// withinList puts a list and a place in it before the pointer of a fault.
func withinList(list string, index int, err error) error {
	return within(list, withinIndex(index, err))
}

// isCatalogueKey reports whether s could be a key of the catalogue.
func isCatalogueKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && c != '.' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 64 && !strings.HasSuffix(s, ".")
}

// ParseDatasetRef reads owner.dataset. Owners may have dots in their keys, datasets do not.
func ParseDatasetRef(s string) (DatasetRef, error) {
	dot := strings.LastIndexByte(s, '.')
	if dot < 0 || !isCatalogueKey(s[:dot]) || !isName(s[dot+1:]) {
		return DatasetRef{}, fmt.Errorf("reading the name of a dataset, which is owner.dataset: %w", privacy.ErrInvalid)
	}
	return DatasetRef{Owner: PartyID(s[:dot]), Dataset: DatasetID(s[dot+1:])}, nil
}
