package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Strict reading of JSON (RFC 8259, with the restrictions of I-JSON, RFC 7493).
//
// encoding/json is lenient where two readers may disagree about what was said: it takes
// the last of two equal keys, matches keys without regard to case, turns broken UTF-8
// into U+FFFD and null into nothing. A gate that reads another request than the proxy
// in front of it has checked is an open gate, so one pass over the bytes refuses all
// that, and gives the place of the fault as a JSON pointer (RFC 6901). Pointers hold
// only names that the request type knows and indexes, never text of the caller's. The
// same pass fills the request: what was checked is what is used.

// shapeKind is what may stand at a place in a request.
type shapeKind uint8

const (
	shapeString shapeKind = iota
	shapeBool
	shapeInteger
	shapeObject
	shapeArray
)

func (k shapeKind) String() string {
	return [...]string{"a string", "true or false", "a whole number", "an object", "an array"}[k]
}

// shape is what a request type allows, compiled once from the type.
type shape struct {
	kind   shapeKind
	fields map[string]*shapeField // of an object
	items  *shape                 // of an array
}

// shapeField is one known key. Its number is a bit in the set of keys seen so far.
type shapeField struct {
	name   string
	number int
	shape  *shape
}

// shapeOf compiles t. It panics on a type that requests must not have, which a test or
// the first start of the program meets, because every route is compiled at start.
func shapeOf(t reflect.Type) *shape {
	switch t.Kind() {
	case reflect.Pointer:
		return shapeOf(t.Elem())
	case reflect.String:
		return &shape{kind: shapeString}
	case reflect.Bool:
		return &shape{kind: shapeBool}
	case reflect.Int, reflect.Int64, reflect.Int32:
		return &shape{kind: shapeInteger}
	case reflect.Slice:
		return &shape{kind: shapeArray, items: shapeOf(t.Elem())}
	case reflect.Struct:
		s := &shape{kind: shapeObject, fields: make(map[string]*shapeField, t.NumField())}
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			if name == "" || name == "-" || len(s.fields) == 64 {
				panic(fmt.Sprintf("server: request type %v: field %s needs a JSON name, and 64 fields are the most", t, t.Field(i).Name))
			}
			s.fields[name] = &shapeField{name: name, number: i, shape: shapeOf(t.Field(i).Type)}
		}
		return s
	}
	panic(fmt.Sprintf("server: request type with a field of %v", t))
}

// fault is one thing wrong with a body, at a place in it.
type fault struct {
	pointer, reason string
	// syntax: the body is not JSON, or not in the strict sense. Otherwise it is JSON
	// that says something the request type does not know.
	syntax bool
}

// strictReader walks a body along a shape, which is finite: so is the depth to which
// a body can make it go.
type strictReader struct {
	data []byte
	at   int
	path []step
}

// step is one part of the current place: a known key, or an index when name is empty.
type step struct {
	name  string
	index int
}

// decodeStrict fills into, a value of the type of which s is the shape, from data, which
// must be one JSON text of that shape and nothing else. After a fault into is of no use.
func decodeStrict(data []byte, s *shape, into reflect.Value) *fault {
	var room [8]step
	r := strictReader{data: data, path: room[:0]}
	r.space()
	if r.at == len(r.data) {
		return r.syntax("the body is empty")
	}
	if f := r.value(s, into); f != nil {
		return f
	}
	if r.space(); r.at != len(r.data) {
		return r.syntax("something follows the end of the JSON text")
	}
	return nil
}

func (r *strictReader) pointer() string {
	var b strings.Builder
	for _, s := range r.path {
		b.WriteByte('/')
		if s.name != "" {
			b.WriteString(s.name) // known names need no escape: a test holds that
		} else {
			b.WriteString(strconv.Itoa(s.index))
		}
	}
	return b.String()
}

func (r *strictReader) fault(reason string) *fault {
	return &fault{pointer: r.pointer(), reason: reason}
}

func (r *strictReader) syntax(reason string) *fault {
	return &fault{pointer: r.pointer(), reason: reason, syntax: true}
}

func (r *strictReader) space() {
	for r.at < len(r.data) {
		switch r.data[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end; a 0 byte is refused wherever it stands.
func (r *strictReader) peek() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

func (r *strictReader) value(s *shape, into reflect.Value) *fault {
	var found shapeKind
	switch c := r.peek(); {
	case c == '{':
		found = shapeObject
	case c == '[':
		found = shapeArray
	case c == '"':
		found = shapeString
	case c == 't' || c == 'f':
		found = shapeBool
	case c == '-' || c >= '0' && c <= '9':
		found = shapeInteger
	case c == 'n':
		return r.fault("null is not accepted: leave the field out, or give " + s.kind.String())
	default:
		return r.syntax("a JSON value is missing here")
	}
	if found != s.kind {
		return r.fault("this must be " + s.kind.String())
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch found {
	case shapeObject:
		return r.object(s, into)
	case shapeArray:
		return r.array(s, into)
	case shapeString:
		return r.string(into)
	case shapeBool:
		return r.boolean(into)
	default:
		return r.integer(into)
	}
}

func (r *strictReader) object(s *shape, into reflect.Value) *fault {
	r.at++ // '{'
	var seen uint64
	for first := true; ; first = false {
		r.space()
		if r.peek() == '}' && first {
			break
		}
		if r.peek() != '"' {
			return r.syntax("a key in double quotes is missing here")
		}
		key, f := r.text()
		if f != nil {
			return f
		}
		field, known := s.fields[string(key)]
		if !known {
			return r.fault("there is an unknown field here")
		}
		r.path = append(r.path, step{name: field.name})
		if seen&(1<<field.number) != 0 {
			return r.syntax("this field stands here twice")
		}
		seen |= 1 << field.number
		if r.space(); r.peek() != ':' {
			return r.syntax("a colon is missing after this key")
		}
		r.at++
		r.space()
		if f := r.value(field.shape, into.Field(field.number)); f != nil {
			return f
		}
		r.path = r.path[:len(r.path)-1]
		r.space()
		if r.peek() == ',' {
			r.at++
			continue
		}
		if r.peek() != '}' {
			return r.syntax("a comma or the end of the object is missing here")
		}
		break
	}
	r.at++ // '}'
	return nil
}

func (r *strictReader) array(s *shape, into reflect.Value) *fault {
	r.at++ // '['
	for index := 0; ; index++ {
		r.space()
		if r.peek() == ']' && index == 0 {
			break
		}
		r.path = append(r.path, step{index: index})
		into.Grow(1)
		into.SetLen(index + 1)
		if f := r.value(s.items, into.Index(index)); f != nil {
			return f
		}
		r.path = r.path[:len(r.path)-1]
		r.space()
		if r.peek() == ',' {
			r.at++
			continue
		}
		if r.peek() != ']' {
			return r.syntax("a comma or the end of the array is missing here")
		}
		break
	}
	r.at++ // ']'
	return nil
}

// string reads a string into a field.
func (r *strictReader) string(into reflect.Value) *fault {
	start := r.at
	text, f := r.text()
	if f != nil {
		return f
	}
	if bytes.IndexByte(text, '\\') < 0 {
		into.SetString(string(text))
		return nil
	}
	// Escapes are rare, and text has found them all good.
	var unescaped string
	if err := json.Unmarshal(r.data[start:r.at], &unescaped); err != nil {
		return r.syntax("a string holds an escape that is not JSON")
	}
	into.SetString(unescaped)
	return nil
}

// text reads a string and returns what stands between its quotes, escapes and all: a
// key with escapes is therefore unknown, which is as it should be.
func (r *strictReader) text() ([]byte, *fault) {
	r.at++ // '"'
	start := r.at
	for r.at < len(r.data) {
		switch c := r.data[r.at]; {
		case c == '"':
			r.at++
			return r.data[start : r.at-1], nil
		case c == '\\':
			if !r.escape() {
				return nil, r.syntax("a string holds an escape that is not JSON")
			}
		case c < 0x20:
			return nil, r.syntax("a string holds a control character")
		case c < utf8.RuneSelf:
			r.at++
		default:
			char, size := utf8.DecodeRune(r.data[r.at:])
			if char == utf8.RuneError && size == 1 {
				return nil, r.syntax("a string is not UTF-8")
			}
			r.at += size
		}
	}
	return nil, r.syntax("a string has no end")
}

// escape reads one escape; a lone surrogate and U+0000 are no text.
func (r *strictReader) escape() bool {
	if r.at+1 >= len(r.data) {
		return false
	}
	switch r.data[r.at+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		r.at += 2
		return true
	case 'u':
		char, ok := r.hex4(r.at + 2)
		if !ok || char == 0 {
			return false
		}
		r.at += 6
		if !utf16.IsSurrogate(char) {
			return true
		}
		if r.at+1 >= len(r.data) || r.data[r.at] != '\\' || r.data[r.at+1] != 'u' {
			return false
		}
		low, ok := r.hex4(r.at + 2)
		r.at += 6
		return ok && utf16.DecodeRune(char, low) != utf8.RuneError
	}
	return false
}

func (r *strictReader) hex4(at int) (rune, bool) {
	if at+4 > len(r.data) {
		return 0, false
	}
	var char rune
	for _, c := range r.data[at : at+4] {
		switch {
		case c >= '0' && c <= '9':
			char = char<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			char = char<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			char = char<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return char, true
}

func (r *strictReader) boolean(into reflect.Value) *fault {
	switch rest := r.data[r.at:]; {
	case bytes.HasPrefix(rest, []byte("true")):
		into.SetBool(true)
		r.at += len("true")
	case bytes.HasPrefix(rest, []byte("false")):
		r.at += len("false")
	default:
		return r.syntax("this must be true or false")
	}
	return nil
}

// integer reads a whole number within what every JSON reader can hold exactly (RFC 7493
// section 2.2).
func (r *strictReader) integer(into reflect.Value) *fault {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	digits := r.at
	for r.peek() >= '0' && r.peek() <= '9' {
		r.at++
	}
	switch c := r.peek(); {
	case r.at == digits:
		return r.syntax("a digit is missing here")
	case r.data[digits] == '0' && r.at > digits+1:
		return r.syntax("a number begins with zero")
	case c == '.' || c == 'e' || c == 'E':
		return r.fault("this must be a whole number without fraction or exponent")
	case r.at-start > 16:
		return r.fault("this number is too large")
	}
	n, err := strconv.ParseInt(string(r.data[start:r.at]), 10, 64)
	if err != nil || into.OverflowInt(n) {
		return r.fault("this number is too large")
	}
	into.SetInt(n)
	return nil
}
