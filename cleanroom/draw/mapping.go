package draw

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Mapping says where the columns of a contract are found in what the house holds. It is read
// from YAML by [ParseMapping]; docs/cleanroom.md describes each key.
type Mapping struct {
	// Version of the format: 1.
	Version int `yaml:"version"`
	// Identifier is what people are matched by: an attribute that holds it.
	Identifier IdentifierSource `yaml:"identifier"`
	// Stream, if there is one, makes a row of each event of these types; without one each
	// person is one row.
	Stream privacy.DataCategory `yaml:"stream"`
	Types  []string             `yaml:"types"`
	// Columns has one source for each column of the contract.
	Columns map[string]ColumnSource `yaml:"columns"`
}

// IdentifierSource is an attribute that holds an identifier.
type IdentifierSource struct {
	Kind      privacy.IdentifierKind `yaml:"kind"`
	Attribute privacy.AttributeName  `yaml:"attribute"`
}

// ColumnSource is where the value of a column comes from: exactly one of Field, Attribute,
// Day and One.
type ColumnSource struct {
	// Field is an attribute of the event.
	Field privacy.AttributeName `yaml:"field"`
	// Attribute is one of the person.
	Attribute privacy.AttributeName `yaml:"attribute"`
	// Day is the UTC day on which the event happened.
	Day bool `yaml:"day"`
	// One is 1 for every row.
	One bool `yaml:"one"`
	// Scale turns a decimal number into a whole one: 100 makes cents of euros. 0 takes a
	// number as it is.
	Scale int64 `yaml:"scale"`
}

const maxMapping = 64 << 10

// ParseMapping reads a mapping. Unknown keys are refused. The error wraps
// [privacy.ErrInvalid], and is a [privacy.FieldError] where it is about one key.
func ParseMapping(text []byte) (*Mapping, error) {
	if len(text) > maxMapping {
		return nil, fmt.Errorf("parsing mapping: larger than %d bytes: %w", maxMapping, privacy.ErrInvalid)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	m := &Mapping{}
	if err := decoder.Decode(m); err != nil {
		return nil, fmt.Errorf("parsing mapping: %w: %w", privacy.ErrInvalid, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parsing mapping: more than one document: %w", privacy.ErrInvalid)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("checking mapping: %w", err)
	}
	return m, nil
}

func invalid(pointer, reason string) error {
	return &privacy.FieldError{Pointer: pointer, Reason: reason}
}

func (m *Mapping) check() error {
	switch {
	case m.Version != 1:
		return invalid("/version", "must be 1")
	case m.Identifier.Kind != privacy.Email && m.Identifier.Kind != privacy.Phone && m.Identifier.Kind != privacy.CustomerNumber:
		return invalid("/identifier/kind", "must be email, phone or customer_number")
	case m.Identifier.Attribute == "":
		return invalid("/identifier/attribute", "is required")
	case m.Stream == "" && len(m.Types) > 0:
		return invalid("/types", "are those of a stream, and there is none")
	case m.Stream != "" && len(m.Types) == 0:
		return invalid("/types", "must name at least one type of event")
	}
	for name, source := range m.Columns {
		pointer := "/columns/" + name
		switch sources := source.count(); {
		case sources != 1:
			return invalid(pointer, "must have exactly one of field, attribute, day and one")
		case m.Stream == "" && (source.Field != "" || source.Day):
			return invalid(pointer, "takes from an event, and there is no stream")
		case source.Scale < 0 || source.Scale > 1_000_000:
			return invalid(pointer+"/scale", "must be from 1 to 1000000")
		}
	}
	return nil
}

func (c *ColumnSource) count() int {
	n := 0
	for _, is := range []bool{c.Field != "", c.Attribute != "", c.Day, c.One} {
		if is {
			n++
		}
	}
	return n
}

// fit refuses a mapping that does not provide what the contract promises, or takes it from
// another data category than the contract declares: the policies judged that one.
func (m *Mapping) fit(contract *cleanroom.Contract, catalogue *policies.Catalogue) error {
	if contract.Source != cleanroom.FromHouse {
		return fmt.Errorf("drawing people for a contract of which the source is %q and not %q: %w", contract.Source, cleanroom.FromHouse, privacy.ErrInvalid)
	}
	if a, known := catalogue.Attribute(m.Identifier.Attribute); !known || a.Derived != "" || a.List {
		return invalid("/identifier/attribute", "is not a single stored attribute of the catalogue")
	}
	for name := range m.Columns {
		if _, there := contract.Column(name); !there {
			return invalid("/columns/"+name, "is not in the contract")
		}
	}
	for i := range contract.Columns {
		column := &contract.Columns[i]
		pointer := "/columns/" + column.Name
		source, there := m.Columns[column.Name]
		category := m.Stream
		switch {
		case !there:
			return invalid(pointer, "is in the contract and has no source")
		case source.Day && column.Type != cleanroom.Day:
			return invalid(pointer, "takes a day for a column that is none")
		case (source.One || source.Scale > 0) && column.Type != cleanroom.Integer:
			return invalid(pointer, "takes a number for a column that is none")
		case source.Attribute != "":
			a, known := catalogue.Attribute(source.Attribute)
			if !known || a.Derived != "" || a.List {
				return invalid(pointer+"/attribute", "is not a single stored attribute of the catalogue")
			}
			category = a.Category
		}
		if known, ok := catalogue.Category(column.Category); !ok || known.Special || known.Case {
			return invalid(pointer, "is of a category that no room may have")
		}
		if category != "" && category != column.Category {
			return invalid(pointer, fmt.Sprintf("comes from the category %s, and the contract declares %s", category, column.Category))
		}
	}
	return nil
}

// categories are those of the records that are opened of each person, without double ones.
func (m *Mapping) categories(catalogue *policies.Catalogue) []privacy.DataCategory {
	list := []privacy.DataCategory{Core}
	add := func(name privacy.AttributeName) {
		if a, known := catalogue.Attribute(name); known && !slices.Contains(list, a.Category) {
			list = append(list, a.Category)
		}
	}
	add(m.Identifier.Attribute)
	for _, source := range m.Columns {
		if source.Attribute != "" {
			add(source.Attribute)
		}
	}
	slices.Sort(list)
	return list
}

// Core is the category with the date of birth.
const Core privacy.DataCategory = "core"
