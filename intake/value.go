package intake

import (
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a zone named in a mapping must exist on every machine
)

// listSeparator keeps the values of a JSON array apart in one cell.
const listSeparator = "\x1f"

// value is a [ValueMap] bound to columns.
type value struct {
	ValueMap
	where  string
	column int // -1: constant or product group
	group  [4]int
	// groups remembers classifications: files repeat a few thousand words.
	groups     map[[4]string]string
	classifier Classifier
}

// maxGroups bounds what a value remembers of products.
const maxGroups = 1 << 16

func (b *binder) value(m ValueMap, at string) value {
	v := value{ValueMap: m, where: at, column: -1}
	if m.Column != "" {
		v.column = b.column(m.Column, at+"/column")
	}
	if g := m.ProductGroup; g != nil {
		if b.classifier == nil {
			b.fail(at+"/product_group", "no classifier")
		}
		v.classifier, v.groups = b.classifier, map[[4]string]string{}
		for i, name := range []string{g.Department, g.Category, g.Type, g.Text} {
			v.group[i] = -1
			if name != "" {
				v.group[i] = b.column(name, at+"/product_group")
			}
		}
	}
	return v
}

// one returns the value, or "" if there is none.
func (v *value) one(record []string) (string, *fault) {
	if v.Const != "" {
		return v.Const, nil
	}
	if v.column < 0 {
		return v.productGroup(record), nil
	}
	return v.transform(record[v.column])
}

// many returns all values of an attribute.
func (v *value) many(record []string) ([]string, *fault) {
	separator := v.Split
	if v.column >= 0 && separator == "" {
		separator = listSeparator
	}
	if v.column < 0 || !strings.Contains(record[v.column], separator) {
		text, problem := v.one(record)
		if problem != nil || text == "" {
			return nil, problem
		}
		return []string{text}, nil
	}
	var values []string
	for part := range strings.SplitSeq(record[v.column], separator) {
		text, problem := v.transform(part)
		if problem != nil {
			return nil, problem
		}
		if text == "" || slices.Contains(values, text) {
			continue
		}
		if values = append(values, text); len(values) > maxValues {
			return nil, &fault{TooMuch, v.where}
		}
	}
	return values, nil
}

func (v *value) transform(text string) (string, *fault) {
	if v.Trim {
		text = strings.TrimSpace(text)
	}
	if v.Lower {
		text = strings.ToLower(text)
	}
	if text == "" || slices.Contains(v.Drop, text) {
		return "", nil
	}
	if v.Map != nil {
		mapped, ok := v.Map[text]
		if !ok && v.Strict {
			return "", &fault{UnknownValue, v.where}
		}
		text = mapped
	}
	if v.Date != "" && text != "" {
		at, err := time.Parse(layout(v.Date), text)
		if err != nil || !plausible(at) {
			return "", &fault{BadTime, v.where}
		}
		text = at.Format(time.DateOnly)
	}
	return text, nil
}

func (v *value) productGroup(record []string) string {
	var key [4]string
	for i, column := range v.group {
		if column >= 0 {
			key[i] = record[column]
		}
	}
	if group, ok := v.groups[key]; ok {
		return group
	}
	group := UnknownGroup
	if key != [4]string{} {
		if found := v.classifier.ProductGroup(key[0], key[1], key[2], key[3]); found != "" {
			group = found
		}
	}
	if len(v.groups) < maxGroups {
		for i := range key {
			key[i] = strings.Clone(key[i]) // do not keep the row alive
		}
		v.groups[key] = group
	}
	return group
}

// moment is a [TimeMap] bound to a column.
type moment struct {
	where  string
	column int
	layout string
	zone   *time.Location
}

func (b *binder) moment(m TimeMap, at string) moment {
	zone, err := time.LoadLocation(m.Zone)
	if err != nil {
		b.fail(at+"/zone", "is not the IANA name of a time zone")
		zone = time.UTC
	}
	return moment{where: at, column: b.column(m.Column, at+"/column"), layout: layout(m.Layout), zone: zone}
}

func (b *binder) optional(m *TimeMap, at string) *moment {
	if m == nil {
		return nil
	}
	bound := b.moment(*m, at)
	return &bound
}

func layout(name string) string {
	switch name {
	case "", "rfc3339":
		return time.RFC3339Nano
	case "date":
		return time.DateOnly
	}
	return name
}

// read returns the time in UTC; given is false for an empty cell.
func (m *moment) read(record []string) (at time.Time, given bool, problem *fault) {
	text := strings.TrimSpace(record[m.column])
	if text == "" {
		return time.Time{}, false, nil
	}
	var err error
	switch m.layout {
	case "unix", "unix_ms":
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		if at = time.Unix(n, 0); m.layout == "unix_ms" {
			at = time.UnixMilli(n)
		}
	default:
		at, err = time.ParseInLocation(m.layout, text, m.zone)
	}
	if err != nil || !plausible(at) {
		return time.Time{}, false, &fault{BadTime, m.where}
	}
	return at.UTC(), true, nil
}
