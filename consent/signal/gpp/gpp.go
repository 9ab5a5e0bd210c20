// Package gpp reads strings of the Global Privacy Platform, version 1: a header that says
// which sections follow, and the sections for Europe, Canada, the United States and single
// states of them.
//
// It reads and never writes: vendors neither make nor change these strings. A section that
// is not understood does not take the others with it: it has an error of its own, and
// whoever asks treats it as no consent.
package gpp

import (
	"slices"
	"strings"

	"github.com/mahrem/mahrem/consent/signal/bits"
	"github.com/mahrem/mahrem/consent/signal/tcf"
)

// Limits.
const (
	// MaxLength bounds a string.
	MaxLength = 16 << 10
	// maxSections bounds the sections; there are 27.
	maxSections = 64
)

// The faults of strings.
const (
	// Header: not a header of version 1.
	Header bits.Fault = "header"
	// SectionCount: the header names more or fewer sections than follow.
	SectionCount bits.Fault = "section_count"
	// SectionUnknown: a section that this version does not know.
	SectionUnknown bits.Fault = "section_unknown"
	// SectionUnfinished: a section whose specification is out for comment, and writes its own
	// header in a way that the coding cannot express (24 to 27).
	SectionUnfinished bits.Fault = "section_unfinished"
	// SectionVersion: a version of a section that this version does not know.
	SectionVersion bits.Fault = "section_version"
	// Value: a field with a value that the specification does not have.
	Value bits.Fault = "value"
)

// Field is one field of a section for the United States. Of each value 0 says not applicable;
// for an opt-out 1 says that the person opted out and 2 that they did not, for a notice 1 that
// it was given, for a consent 1 that there is none and 2 that there is. Did not opt out is
// never a yes.
type Field struct {
	Name   string
	Values []int
}

// Section is one section.
type Section struct {
	ID int
	// Name is the prefix of the section in the client's interface: "usca".
	Name string
	// Err is why the section was not understood; a [bits.Fault]. Then nothing else is set.
	Err error
	// TCF is the string of sections 2 and 5.
	TCF *tcf.String
	// Fields are those of a section for the United States.
	Fields []Field
	// GPC is whether the section says that the browser sent Global Privacy Control.
	GPC bool
}

// OptedOut reports whether the section says that the person opted out: field is SaleOptOut,
// SharingOptOut or TargetedAdvertisingOptOut.
func (s *Section) OptedOut(field string) bool {
	for _, f := range s.Fields {
		if f.Name == field {
			return slices.Contains(f.Values, 1)
		}
	}
	return false
}

// IsUS reports whether the section is one for the United States, whether or not it was
// understood.
func (s *Section) IsUS() bool { return 6 <= s.ID && s.ID <= 27 }

// IsTCF reports whether the section is a string of the transparency and consent framework,
// whether or not it was understood.
func (s *Section) IsTCF() bool { return s.ID == 2 || s.ID == 5 }

// String is what a GPP string says.
type String struct{ Sections []Section }

// Decode reads a string. An error, a [bits.Fault], is that nothing of it was understood;
// errors of sections stand with them.
func Decode(text string) (*String, error) {
	switch {
	case text == "":
		return nil, bits.Empty
	case len(text) > MaxLength:
		return nil, bits.TooLong
	}
	parts := strings.Split(text, "~")
	r := bits.NewReader(parts[0])
	if r.Int(6) != 3 || r.Int(6) != 1 {
		r.Fail(Header)
	}
	spans := r.FibonacciRange()
	if err := r.End(); err != nil {
		return nil, err
	}
	var ids []int
	for _, span := range spans {
		for id := span.First; id <= span.Last; id++ {
			if ids = append(ids, id); len(ids) > maxSections {
				return nil, SectionCount
			}
		}
	}
	if len(ids) != len(parts)-1 {
		return nil, SectionCount
	}
	s := &String{Sections: make([]Section, len(ids))}
	for i, id := range ids {
		s.Sections[i] = section(id, parts[i+1])
	}
	return s, nil
}

func section(id int, text string) Section {
	s := Section{ID: id, Name: names[id]}
	switch id {
	case 2:
		s.TCF, s.Err = tcf.Decode(text)
	case 5:
		s.TCF, s.Err = tcf.DecodeCanada(text)
	case 6:
		s.Fields, s.Err = usPrivacy(text)
	case 24, 25, 26, 27:
		s.Err = SectionUnfinished
	default:
		layout, known := layouts[id]
		if !known {
			s.Err = SectionUnknown
			break
		}
		s.Fields, s.GPC, s.Err = layout.read(text)
	}
	return s
}

// usPrivacy reads the older string of four letters: version, notice, opt-out of sale, and
// whether the limited service provider agreement covers it.
func usPrivacy(text string) ([]Field, error) {
	if len(text) != 4 {
		return nil, bits.Truncated
	}
	if text[0] != '1' {
		return nil, SectionVersion
	}
	fields := []Field{{Name: "SaleOptOutNotice"}, {Name: "SaleOptOut"}, {Name: "LspaCovered"}}
	for i := range fields {
		value, ok := map[byte]int{'-': 0, 'Y': 1, 'N': 2}[text[i+1]]
		if !ok {
			return nil, Value
		}
		fields[i].Values = []int{value}
	}
	return fields, nil
}
