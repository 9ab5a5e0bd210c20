package policies

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Entry is one entry of a catalogue as somebody reads it who does not know its Go type:
// the keys of the file with what they hold, without those that are empty.
type Entry struct {
	Kind   string
	Key    string
	Title  Text
	Fields map[string]any
}

// Kinds returns the names of the catalogue's files, sorted: "attributes", "categories" …
func (c *Catalogue) Kinds() []string { return Schemas() }

// Keys returns the keys of a kind's entries, sorted; of product groups, inferences and
// personas in the order of their files, which has a meaning; of retention the periods by
// category, then the exceptions, then the kinds of rows.
func (c *Catalogue) Keys(kind string) []string {
	switch kind {
	case "purposes":
		return texts(c.Purposes())
	case "categories":
		return texts(c.Categories())
	case "attributes":
		return texts(c.Attributes())
	case "channels":
		return texts(c.Channels())
	case "recipients":
		return texts(c.Recipients())
	case "obligations":
		return texts(c.Obligations())
	case "jurisdictions":
		return texts(c.Jurisdictions())
	case "inferences":
		return keysInOrder(c.inferenceOrder, func(i *Inference) string { return string(i.ID) })
	case "personas":
		return keysInOrder(c.personaOrder, func(p *PersonaLabel) string { return string(p.ID) })
	case "product_groups":
		return keysInOrder(c.groupOrder, func(g *Group) string { return string(g.ID) })
	case "retention":
		return slices.Concat(texts(sortedKeys(c.retention.Periods)), texts(sortedKeys(c.retention.Exceptions)), texts(sortedKeys(c.retention.Records)))
	}
	return nil
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func keysInOrder[T any](list []T, key func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = key(v)
	}
	return out
}

// Entry returns one entry. A product group has, beside the keys of its file, "points_to":
// its weights by inference, own and inherited. The error wraps [privacy.ErrNotFound].
func (c *Catalogue) Entry(kind, key string) (Entry, error) {
	var value any
	ok := false
	switch kind {
	case "purposes":
		value, ok = lookUp(c.purposes, key)
	case "categories":
		value, ok = lookUp(c.categories, key)
	case "attributes":
		value, ok = lookUp(c.attributes, key)
	case "channels":
		value, ok = lookUp(c.channels, key)
	case "recipients":
		value, ok = lookUp(c.recipients, key)
	case "obligations":
		value, ok = lookUp(c.obligations, key)
	case "jurisdictions":
		value, ok = lookUp(c.jurisdictions, key)
	case "inferences":
		value, ok = lookUp(c.inferences, key)
	case "personas":
		value, ok = lookUp(c.personas, key)
	case "product_groups":
		value, ok = lookUp(c.groups, key)
	case "retention":
		if value, ok = lookUp(c.retention.Periods, key); !ok {
			value, ok = lookUp(c.retention.Exceptions, key)
		}
		if !ok {
			value, ok = lookUp(c.retention.Records, key)
		}
	}
	if !ok {
		return Entry{}, fmt.Errorf("looking up %s %q in the catalogue: %w", kind, key, privacy.ErrNotFound)
	}
	v := reflect.ValueOf(value).Elem()
	e := Entry{Kind: kind, Key: key, Title: v.FieldByName("Title").Interface().(Text), Fields: fieldsOf(v)}
	delete(e.Fields, "title")
	if g, isGroup := value.(*Group); isGroup && len(g.Weights) > 0 {
		weights := map[string]any{}
		for _, w := range g.Weights {
			weights[string(w.Inference.ID)] = w.Weight
		}
		e.Fields["points_to"] = weights
	}
	return e, nil
}

func lookUp[K ~string, V any](entries map[K]*V, key string) (any, bool) {
	v, ok := entries[K(key)]
	return v, ok
}

// fieldsOf takes a struct apart by its YAML keys, down to texts, numbers, lists and maps.
func fieldsOf(v reflect.Value) map[string]any {
	fields := map[string]any{}
	for field, value := range v.Fields() {
		key := field.Tag.Get("yaml")
		if key == "" || key == "-" || value.IsZero() {
			continue
		}
		fields[key] = plainOf(value)
	}
	return fields
}

func plainOf(v reflect.Value) any {
	switch typed := v.Interface().(type) {
	case Duration:
		return typed.text()
	case Date:
		return typed.Format(time.DateOnly)
	case fmt.Stringer:
		return typed.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		return plainOf(v.Elem())
	case reflect.Struct:
		return fieldsOf(v)
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainOf(v.Index(i))
		}
		return list
	case reflect.Map:
		out := map[string]any{}
		for key, value := range v.Seq2() {
			out[key.String()] = plainOf(value)
		}
		return out
	case reflect.String:
		return v.String()
	}
	return v.Interface()
}

// text writes a duration as a catalogue does: days where it is some, else Go's notation.
func (d Duration) text() string {
	const day = 24 * time.Hour
	if d.Duration > 0 && d.Duration%day == 0 {
		return fmt.Sprintf("%dd", d.Duration/day)
	}
	return d.String()
}
