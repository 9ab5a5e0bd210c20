package tally

import (
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/mahrem/mahrem/audit/wording"
)

//go:embed words.json
var wordsJSON []byte

// words are the texts of a report in one language.
type words struct {
	texts    map[string]wording.Text
	titles   wording.Titles
	language wording.Language
}

func newWords(language wording.Language) *words {
	w := &words{titles: wording.Read(), language: language}
	if err := json.Unmarshal(wordsJSON, &w.texts); err != nil {
		panic("tally: " + err.Error()) // part of the program; a test reads it
	}
	return w
}

// say returns a text, with {name} filled in from pairs.
func (w *words) say(name string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(w.texts[name].In(w.language))
}

// Column is one column of a [Table]. Key names it for programs, in every language alike.
type Column struct {
	Key     string
	Title   string
	Numeric bool
}

// Table is one table of a report as text: for a terminal, for a page, or for a
// spreadsheet.
type Table struct {
	// Name is what files of it are called.
	Name    string
	Title   string
	Columns []Column
	Rows    [][]string
	// More is how much did not fit.
	More uint64
}

// Tables are the tables of a report. With a language titles and words are in it; with none
// ("") they are as they stand in the log, for programs.
func (r *Report) Tables(language wording.Language) []Table {
	b := tabler{words: newWords(language), raw: language == "", more: r.More}
	b.table("asked", "role recipient what purpose channel answered# refused# share#")
	for _, a := range r.Asked {
		b.row(b.role(string(a.Role)), string(a.Recipient), b.what(a.What), string(a.Purpose), string(a.Channel),
			number(a.Answered), number(a.Refused), share(a.Refused, a.Answered+a.Refused))
	}
	b.table("reasons", "check what purpose refused#")
	for _, a := range r.Reasons {
		check := a.Check
		if check == "" && !b.raw {
			check = b.words.say("no_check")
		}
		b.row(check, b.what(a.What), string(a.Purpose), number(a.Refused))
	}
	b.table("released", "attribute recipient purpose times#")
	for _, a := range r.Released {
		b.row(string(a.Attribute), string(a.Recipient), string(a.Purpose), number(a.Times))
	}
	b.table("callers", "caller role recipient answered# refused# other# first last")
	for _, a := range r.Callers {
		b.row(a.Tag, b.role(string(a.Role)), string(a.Recipient), number(a.Answered), number(a.Refused), number(a.Other), b.time(a.First), b.time(a.Last))
	}
	b.table("done", "kind role entries#")
	for _, a := range r.Done {
		b.row(b.kind(string(a.Kind)), b.role(string(a.Role)), number(a.Entries))
	}
	b.table("sizes", "kind size entries#")
	for _, a := range r.Sizes {
		b.row(b.kind(string(a.Kind)), string(a.Size), number(a.Entries))
	}
	b.table("revisions", "policy answered# refused# first last")
	for _, a := range r.Revisions {
		b.row(a.Policy, number(a.Answered), number(a.Refused), b.time(a.First), b.time(a.Last))
	}
	b.table("notable", "index# time kind role")
	for _, a := range r.Notables {
		b.row(number(a.Index), b.time(a.Time), b.kind(string(a.Kind)), b.role(string(a.Role)))
	}
	b.table("moments", "start answered# refused# other#")
	for _, a := range r.Moments {
		b.row(b.start(r.Unit, a.Start), number(a.Answered), number(a.Refused), number(a.Other))
	}
	return b.tables
}

// tabler writes tables.
type tabler struct {
	words  *words
	raw    bool
	more   map[string]uint64
	tables []Table
}

func (b *tabler) table(name, columns string) {
	t := Table{Name: name, Title: b.words.say("table_" + name), More: b.more[name]}
	for key := range strings.FieldsSeq(columns) {
		key, numeric := strings.CutSuffix(key, "#")
		t.Columns = append(t.Columns, Column{key, b.words.say("col_" + key), numeric})
	}
	b.tables = append(b.tables, t)
}

func (b *tabler) row(cells ...string) {
	t := &b.tables[len(b.tables)-1]
	t.Rows = append(t.Rows, cells)
}

func (b *tabler) role(role string) string {
	if b.raw {
		return role
	}
	for known, text := range b.words.titles.Roles {
		if string(known) == role {
			return text.In(b.words.language)
		}
	}
	return role
}

func (b *tabler) kind(kind string) string {
	if b.raw {
		return kind
	}
	for known, text := range b.words.titles.Kinds {
		if string(known) == kind {
			return text.In(b.words.language) + " (" + kind + ")"
		}
	}
	return kind
}

func (b *tabler) what(what What) string {
	if b.raw {
		return string(what)
	}
	return b.words.say("what_" + string(what))
}

func (b *tabler) time(at time.Time) string {
	if b.raw {
		return at.Format(time.RFC3339Nano)
	}
	return at.Format(time.DateTime)
}

func (b *tabler) start(unit Unit, at time.Time) string {
	if b.raw {
		return at.Format(time.RFC3339)
	}
	return at.Format(map[Unit]string{Hour: "2006-01-02 15:04", Day: time.DateOnly, Month: "2006-01", Year: "2006"}[unit])
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// share is a part in percent, with one digit behind the point.
func share(part, of uint64) string {
	if of == 0 {
		return ""
	}
	return strconv.FormatFloat(100*float64(part)/float64(of), 'f', 1, 64)
}
