package cleanroom

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/mahrem/mahrem/privacy"
)

// parseDocument reads a document into a struct. A field that the struct does not have is
// refused, and so is one that is missing although it has no omitempty.
func parseDocument(data []byte, into any) error {
	v, err := readJSON(data)
	if err != nil {
		return err
	}
	return v.fill(reflect.ValueOf(into).Elem())
}

// canonicalDocument writes a struct as RFC 8785 says.
func canonicalDocument(document any) ([]byte, error) {
	data, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", privacy.ErrInvalid)
	}
	v, err := readJSON(data)
	if err != nil {
		return nil, err
	}
	return v.appendCanonical(nil), nil
}

// rawJSON is where a value may be one of several things; it is kept canonical.
var rawJSON = reflect.TypeFor[json.RawMessage]()

func (v *jsonValue) fill(into reflect.Value) error {
	if into.Type() == rawJSON {
		into.SetBytes(v.appendCanonical(nil))
		return nil
	}
	want := map[reflect.Kind]jsonKind{
		reflect.String: jsonString, reflect.Int: jsonNumber, reflect.Int64: jsonNumber, reflect.Bool: jsonBool,
		reflect.Slice: jsonArray, reflect.Struct: jsonObject, reflect.Map: jsonObject,
	}[into.Kind()]
	if v.kind != want {
		return fault("", "this must be "+want.String())
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(v.text)
	case reflect.Int, reflect.Int64:
		into.SetInt(v.number)
	case reflect.Bool:
		into.SetBool(v.number == 1)
	case reflect.Slice:
		into.Set(reflect.MakeSlice(into.Type(), len(v.values), len(v.values)))
		for i := range v.values {
			if err := v.values[i].fill(into.Index(i)); err != nil {
				return withinIndex(i, err)
			}
		}
	case reflect.Map: // of holes to what fills them
		into.Set(reflect.MakeMapWithSize(into.Type(), len(v.values)))
		for i := range v.values {
			if !isName(v.keys[i]) {
				return fault("", "this is not the name of a hole")
			}
			item := reflect.New(into.Type().Elem()).Elem()
			if err := v.values[i].fill(item); err != nil {
				return within(v.keys[i], err)
			}
			into.SetMapIndex(reflect.ValueOf(v.keys[i]), item)
		}
	default:
		return v.fillStruct(into)
	}
	return nil
}

func (v *jsonValue) fillStruct(into reflect.Value) error {
	known := 0
	for i := range into.NumField() {
		name, options, _ := strings.Cut(into.Type().Field(i).Tag.Get("json"), ",")
		place := slices.Index(v.keys, name)
		if place < 0 {
			if options == "" {
				return fault("/"+name, "this is missing")
			}
			continue
		}
		known++
		if err := v.values[place].fill(into.Field(i)); err != nil {
			return within(name, err)
		}
	}
	if known != len(v.keys) {
		return fault("", "there is an unknown field here")
	}
	return nil
}

// isName reports whether s is lower-case letters, digits and underscores, at most 40, and
// begins with a letter.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= 40
}
