package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// rowSource gives records with the columns that it names.
type rowSource interface {
	columns() []string
	// next is as that of csvReader.
	next() (record []string, row int64, reason Reason, err error)
}

func (r *csvReader) columns() []string { return r.header }

// jsonReader reads NDJSON objects as records. Its columns are those that the mapping
// asks for: members by name, members of members as "outer.inner". An array of scalars
// is a cell with several values.
type jsonReader struct {
	lines  *lines
	limits limits
	names  []string
	paths  [][]string
	seen   []bool // which of the columns any row had
	empty  []bool // which of them are in a member that was null in any row
	record []string
}

func newJSON(in io.Reader, names []string, limits limits) (*jsonReader, error) {
	r := &jsonReader{lines: newLines(in, limits.row), limits: limits, names: names, record: make([]string, len(names))}
	r.seen, r.empty = make([]bool, len(names)), make([]bool, len(names))
	for _, name := range names {
		r.paths = append(r.paths, strings.Split(name, "."))
	}
	return r, r.lines.skipBOM()
}

func (r *jsonReader) columns() []string { return r.names }

func (r *jsonReader) next() ([]string, int64, Reason, error) {
	for {
		line, row, reason, err := r.lines.next()
		if err != nil || reason != "" {
			return nil, row, reason, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if reason := checkBytes(line); reason != "" {
			return nil, row, reason, nil
		}
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.UseNumber()
		var object map[string]any
		if err := decoder.Decode(&object); err != nil || object == nil {
			return nil, row, BadJSON, nil
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, row, BadJSON, nil
		}
		if membersOf(line) != membersIn(object) {
			return nil, row, BadJSON, nil // which of two of one name is meant, nobody knows
		}
		for i, path := range r.paths {
			cell, reason := r.cell(object, path, &r.seen[i], &r.empty[i])
			if reason != "" {
				return nil, row, reason, nil
			}
			r.record[i] = cell
		}
		return r.record, row, "", nil
	}
}

// membersOf counts the members that are written in JSON: each has a colon outside of strings.
func membersOf(line []byte) int {
	n, inside := 0, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			inside = !inside
		case inside && c == '\\':
			i++
		case !inside && c == ':':
			n++
		}
	}
	return n
}

// membersIn counts the members that are left of it when it was read, one of each name.
func membersIn(value any) (n int) {
	switch value := value.(type) {
	case map[string]any:
		n = len(value)
		for _, member := range value {
			n += membersIn(member)
		}
	case []any:
		for _, element := range value {
			n += membersIn(element)
		}
	}
	return n
}

// cell finds a member, and notes that it is there or that a member around it is null. What is missing is empty; what is not text,
// number, truth value or a list of these is not a cell.
func (r *jsonReader) cell(object map[string]any, path []string, seen, empty *bool) (string, Reason) {
	for _, name := range path[:len(path)-1] {
		member, found := object[name]
		inner, ok := member.(map[string]any)
		if !ok && member != nil {
			return "", BadJSON
		}
		*empty = *empty || found && member == nil
		object = inner
	}
	member, found := object[path[len(path)-1]]
	*seen = *seen || found
	list, ok := member.([]any)
	if !ok {
		list = []any{member}
	}
	var cell strings.Builder
	for i, element := range list {
		text, ok := scalar(element)
		if !ok || strings.Contains(text, listSeparator) {
			return "", BadJSON
		}
		if strings.ContainsRune(text, 0) {
			return "", NULByte
		}
		if i > 0 {
			cell.WriteString(listSeparator)
		}
		cell.WriteString(text)
		if cell.Len() > r.limits.cell {
			return "", CellTooLarge
		}
	}
	return cell.String(), ""
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}

// joined adds the columns of lookup files to each record.
type joined struct {
	rows    rowSource
	lookups []*lookup
	on      []int
	names   []string
	record  []string
}

func newJoined(rows rowSource, lookups []*lookup) (*joined, error) {
	j := &joined{rows: rows, lookups: lookups, names: append([]string(nil), rows.columns()...)}
	for i, l := range lookups {
		on := -1
		for at, name := range j.names {
			if name == l.on {
				on = at
			}
		}
		if on < 0 {
			return nil, fmt.Errorf("binding mapping: %w", invalid(fmt.Sprintf("/joins/%d/on", i), "is not a column of the file"))
		}
		j.on = append(j.on, on)
		j.names = append(j.names, l.columns...)
	}
	return j, nil
}

func (j *joined) columns() []string { return j.names }

func (j *joined) next() ([]string, int64, Reason, error) {
	record, row, reason, err := j.rows.next()
	if err != nil || reason != "" {
		return nil, row, reason, err
	}
	j.record = append(j.record[:0], record...)
	for i, l := range j.lookups {
		j.record = append(j.record, l.find(j.record[j.on[i]])...)
	}
	return j.record, row, "", nil
}

// wantedColumns are the columns that a mapping asks of the file itself.
func (m *Mapping) wantedColumns() []string {
	seen := map[string]bool{"": true}
	var names []string
	add := func(columns ...string) {
		for _, name := range columns {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	value := func(v *ValueMap) {
		if v == nil {
			return
		}
		add(v.Column)
		if g := v.ProductGroup; g != nil {
			add(g.Department, g.Category, g.Type)
		}
	}
	moment := func(t *TimeMap) {
		if t != nil {
			add(t.Column)
		}
	}
	for _, join := range m.Joins {
		for _, column := range join.Columns {
			seen[join.Name+"."+column] = true
		}
	}
	for _, join := range m.Joins {
		add(join.On)
	}
	value(m.JurisdictionFrom)
	for _, i := range m.Identifiers {
		add(i.Column)
	}
	for _, a := range m.Attributes {
		value(&a.ValueMap)
		moment(a.Observed)
	}
	for _, e := range m.Events {
		add(e.At.Column)
		add(e.ID...)
		if e.When != nil {
			add(e.When.Column)
		}
		for _, f := range e.Fields {
			value(&f)
		}
	}
	for _, c := range m.Consents {
		value(&c.Action)
		moment(c.EffectiveAt)
		moment(c.ValidUntil)
	}
	return names
}

// openRows opens the file by the mapping's format.
func openRows(in io.Reader, m *Mapping, format string, lookups []*lookup, limits limits) (rowSource, error) {
	var rows rowSource
	var err error
	switch format {
	case "csv":
		comma := byte(',')
		if m.Delimiter != "" {
			comma = m.Delimiter[0]
		}
		rows, err = newCSV(in, comma, limits)
	case "ndjson":
		rows, err = newJSON(in, m.wantedColumns(), limits)
	default:
		return nil, fmt.Errorf("opening rows of an unknown format: %w", privacy.ErrInvalid)
	}
	if err != nil || len(lookups) == 0 {
		return rows, err
	}
	return newJoined(rows, lookups)
}
