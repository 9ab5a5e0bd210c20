package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// TableDocument is a table for people and programs to read: for each purpose, what holds
// and under which facts. It says everything that the table does.
type TableDocument struct {
	Schema string `json:"schema"`
	Hash   string `json:"hash"`
	// Cells is how many cells the space has, Open in how many something is open.
	Cells string `json:"cells"`
	Open  string `json:"open"`
	// Words are the values of each fact.
	Words map[string][]string `json:"words"`
	// Common holds the lines that are the same under every purpose.
	Common   []TableLine    `json:"every_purpose"`
	Purposes []TableSection `json:"purposes"`
}

// TableSection is what holds under one purpose.
type TableSection struct {
	Purpose string `json:"purpose"`
	Title   string `json:"title"`
	// Open is in how many cells something is open.
	Open  string      `json:"open"`
	Lines []TableLine `json:"lines"`
}

// TableLine is one thing that holds under some facts.
type TableLine struct {
	// Kind is check (it passes), basis, at_most (the level that the basis carries), opens
	// and clears (data categories), obliges, and level (what attributes may ever have).
	Kind  string   `json:"kind"`
	Names []string `json:"names"`
	// When holds products of facts: one of the values of each fact. A fact that is not
	// there can be anything. An empty product is always, no product never. A level has none.
	When []map[string][]string `json:"when,omitempty"`
}

// Kinds of [TableLine].
const (
	lineCheck   = "check"
	lineBasis   = "basis"
	lineAtMost  = "at_most"
	lineOpens   = "opens"
	lineClears  = "clears"
	lineObliges = "obliges"
	lineLevel   = "level"
)

// Hash returns the SHA-256 of [Table.Text]. Two revisions with one hash decide alike.
func (t *Table) Hash() [sha256.Size]byte { return sha256.Sum256(t.text(t.document())) }

// Text is the whole table, in a form in which a changed cell is a changed line.
func (t *Table) Text() []byte { return t.text(t.document()) }

// Document returns the table in a readable form.
func (t *Table) Document() TableDocument {
	document := t.document()
	hash := sha256.Sum256(t.text(document))
	document.Hash = "sha256:" + hex.EncodeToString(hash[:])
	return document
}

func (t *Table) document() TableDocument {
	all, open := t.Cells()
	document := TableDocument{Schema: "mahrem.table/v1", Cells: all.String(), Open: open.String(), Words: map[string][]string{}}
	for field, values := range t.space.values {
		document.Words[tableFields[field].name] = values
	}
	common := map[string]bool{}
	for _, check := range t.revision.required {
		if t.d.forget(t.passed[check], func(field int) bool { return field == fieldPurpose }) == t.passed[check] {
			common[check] = true
			document.Common = append(document.Common, t.line(lineCheck, t.passed[check], check))
		}
	}
	for value, word := range t.space.values[fieldPurpose] {
		purpose, ok := t.revision.catalogue.Purpose(privacy.Purpose(word))
		if !ok {
			continue
		}
		section := TableSection{
			Purpose: word, Title: purpose.Title.EN,
			Open: t.d.count(t.d.and(t.allow, t.is(fieldPurpose, word))).String(),
		}
		under := func(a diagram) diagram { return t.d.fix(a, fieldPurpose, value) }
		for _, check := range t.revision.required {
			if !common[check] {
				section.Lines = append(section.Lines, t.line(lineCheck, under(t.passed[check]), check))
			}
		}
		for _, group := range []struct {
			kind string
			of   map[string]diagram
		}{{lineBasis, t.bases}, {lineAtMost, t.ceilings}, {lineObliges, t.due}} {
			for _, name := range sortedKeys(group.of) {
				if holds := under(group.of[name]); holds != nothing {
					section.Lines = append(section.Lines, t.line(group.kind, holds, name))
				}
			}
		}
		section.Lines = append(section.Lines, t.categories(lineOpens, under(t.granted))...)
		section.Lines = append(section.Lines, t.categories(lineClears, under(t.cleared))...)
		section.Lines = append(section.Lines, t.levels(purpose)...)
		document.Purposes = append(document.Purposes, section)
	}
	return document
}

// categories says under which facts each data category is among those of a; those that
// are alike share a line.
func (t *Table) categories(kind string, a diagram) []TableLine {
	var order []diagram
	names := map[diagram][]string{}
	for value, word := range t.space.values[fieldCategory] {
		holds := t.d.fix(a, fieldCategory, value)
		if holds == nothing {
			continue
		}
		if names[holds] == nil {
			order = append(order, holds)
		}
		names[holds] = append(names[holds], word)
	}
	lines := make([]TableLine, len(order))
	for i, holds := range order {
		lines[i] = t.line(kind, holds, names[holds]...)
	}
	return lines
}

// levels says how much of each attribute a purpose may ever see, and what it obliges to.
func (t *Table) levels(purpose *Purpose) []TableLine {
	var lines []TableLine
	for _, level := range [...]Level{Exact, Generalized, Persona} {
		line := TableLine{Kind: lineLevel, Names: []string{level.String()}}
		for _, name := range t.revision.catalogue.Attributes() {
			if t.revision.Verdict(purpose.ID, name).Max == level {
				line.Names = append(line.Names, string(name))
			}
		}
		if len(line.Names) > 1 {
			lines = append(lines, line)
		}
	}
	return lines
}

func (t *Table) line(kind string, holds diagram, names ...string) TableLine {
	line := TableLine{Kind: kind, Names: names, When: []map[string][]string{}}
	for _, box := range t.d.boxes(holds) {
		product := map[string][]string{}
		for field, values := range box {
			words := make([]string, len(values))
			for i, value := range values {
				words[i] = t.space.values[field][value]
			}
			product[tableFields[field].name] = words
		}
		line.When = append(line.When, product)
	}
	return line
}

func (t *Table) text(document TableDocument) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s cells, %s open\n\n[words]\n", document.Schema, document.Cells, document.Open)
	for _, field := range tableFields {
		fmt.Fprintf(&b, "%s: %s\n", field.name, strings.Join(document.Words[field.name], " "))
	}
	b.WriteString("\n[every purpose]\n")
	for _, line := range document.Common {
		line.write(&b, document.Words)
	}
	for _, section := range document.Purposes {
		fmt.Fprintf(&b, "\n[%s] %s open\n", section.Purpose, section.Open)
		for _, line := range section.Lines {
			line.write(&b, document.Words)
		}
	}
	return []byte(b.String())
}

// write writes the line as text, one text line for each product.
func (l TableLine) write(b *strings.Builder, words map[string][]string) {
	names := strings.Join(l.Names, " ")
	switch {
	case l.Kind == lineLevel:
		fmt.Fprintf(b, "%s %s: %s\n", l.Kind, l.Names[0], strings.Join(l.Names[1:], " "))
	case len(l.When) == 0:
		fmt.Fprintf(b, "%s %s: never\n", l.Kind, names)
	}
	for _, product := range l.When {
		fmt.Fprintf(b, "%s %s: %s\n", l.Kind, names, DescribeProduct(product, words))
	}
}

// DescribeProduct writes one product of facts in words. words are all values of each fact.
func DescribeProduct(product, words map[string][]string) string {
	var parts []string
	for _, field := range tableFields {
		values, ok := product[field.name]
		if !ok {
			continue
		}
		var others []string
		for _, word := range words[field.name] {
			if !slices.Contains(values, word) {
				others = append(others, word)
			}
		}
		if len(others) < len(values) && len(values) > 2 {
			parts = append(parts, field.name+" not "+strings.Join(others, "|"))
		} else {
			parts = append(parts, field.name+" "+strings.Join(values, "|"))
		}
	}
	if len(parts) == 0 {
		return "always"
	}
	return strings.Join(parts, ", ")
}
