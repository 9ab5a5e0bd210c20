package cleanroom

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// JSON in rooms is I-JSON (RFC 7493) without fractions and without null, read strictly: what
// two readers could understand differently is refused, because documents are signed, hashed
// and judged. It is written as RFC 8785 says, so that a document has one digest.

// MaximumDocument is how long a contract, a template or a query may be, in bytes.
const MaximumDocument = 1 << 20

// maximumDepth bounds how deep values are nested; no document of a room needs half of it.
const maximumDepth = 12

// maximumValues bounds how many values a document has: each takes a hundred times the memory that
// it takes to write it. A contract with as many columns as there may be, each of as many words,
// has half of them.
const maximumValues = 16 << 10

// largestNumber is the largest whole number that every reader of JSON understands.
const largestNumber = 1<<53 - 1

type jsonKind uint8

const (
	jsonString jsonKind = iota
	jsonNumber
	jsonBool
	jsonArray
	jsonObject
)

func (k jsonKind) String() string {
	return [...]string{"a string", "a whole number", "true or false", "an array", "an object"}[k]
}

// jsonValue is one value of a document.
type jsonValue struct {
	kind   jsonKind
	text   string      // of a string
	number int64       // of a number; 1 for true
	keys   []string    // of an object, in the order of the document
	values []jsonValue // of an object or array
}

// fault says what is wrong with a document at a place in it.
func fault(pointer, reason string) error {
	return &privacy.FieldError{Pointer: pointer, Reason: reason}
}

// within puts a step before the pointer of a fault.
func within(step string, err error) error {
	if field, ok := errors.AsType[*privacy.FieldError](err); ok {
		return fault("/"+step+field.Pointer, field.Reason)
	}
	return err
}

// withinIndex is within for an array.
func withinIndex(index int, err error) error { return within(strconv.Itoa(index), err) }

// readJSON reads one document and nothing else.
func readJSON(data []byte) (jsonValue, error) {
	if len(data) > MaximumDocument {
		return jsonValue{}, fault("", "the document is too long")
	}
	if !utf8.Valid(data) {
		return jsonValue{}, fault("", "this is not UTF-8")
	}
	r := jsonReader{data: data}
	r.space()
	v, err := r.value(0)
	if err != nil {
		return jsonValue{}, err
	}
	if r.space(); r.at != len(data) {
		return jsonValue{}, fault("", "something follows the end of the document")
	}
	return v, nil
}

type jsonReader struct {
	data   []byte
	at     int
	values int
}

func (r *jsonReader) space() {
	for r.at < len(r.data) && strings.IndexByte(" \t\r\n", r.data[r.at]) >= 0 {
		r.at++
	}
}

// next returns the next byte, 0 at the end.
func (r *jsonReader) next() byte {
	if r.at < len(r.data) {
		return r.data[r.at]
	}
	return 0
}

// take skips a byte that must come here, and the space around it.
func (r *jsonReader) take(c byte) bool {
	r.space()
	if r.next() != c {
		return false
	}
	r.at++
	r.space()
	return true
}

func (r *jsonReader) value(depth int) (jsonValue, error) {
	if depth == maximumDepth {
		return jsonValue{}, fault("", "this is nested too deep")
	}
	if r.values++; r.values > maximumValues {
		return jsonValue{}, fault("", "there are too many values in this document")
	}
	switch c := r.next(); {
	case c == '"':
		text, err := r.string()
		return jsonValue{kind: jsonString, text: text}, err
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for word, number := range map[string]int64{"true": 1, "false": 0} {
		if strings.HasPrefix(string(r.data[r.at:min(len(r.data), r.at+5)]), word) {
			r.at += len(word)
			return jsonValue{kind: jsonBool, number: number}, nil
		}
	}
	if strings.HasPrefix(string(r.data[r.at:min(len(r.data), r.at+4)]), "null") {
		return jsonValue{}, fault("", "null is not accepted: leave the field out")
	}
	return jsonValue{}, fault("", "a JSON value is missing here")
}

func (r *jsonReader) object(depth int) (jsonValue, error) {
	v := jsonValue{kind: jsonObject}
	r.at++
	for r.space(); r.next() != '}'; {
		if len(v.keys) > 0 && !r.take(',') {
			return v, fault("", "a comma or the end of the object is missing here")
		}
		if r.next() != '"' {
			return v, fault("", "a key in double quotes is missing here")
		}
		key, err := r.string()
		if err != nil {
			return v, err
		}
		if slices.Contains(v.keys, key) {
			return v, fault("", "a field stands here twice")
		}
		if len(v.keys) == 64 {
			return v, fault("", "there are too many fields here")
		}
		if !r.take(':') {
			return v, fault("", "a colon is missing after a key")
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return v, err // without the key, which may be anything
		}
		v.keys, v.values = append(v.keys, key), append(v.values, item)
		r.space()
	}
	r.at++
	return v, nil
}

func (r *jsonReader) array(depth int) (jsonValue, error) {
	v := jsonValue{kind: jsonArray}
	r.at++
	for r.space(); r.next() != ']'; {
		if len(v.values) > 0 && !r.take(',') {
			return v, fault("", "a comma or the end of the array is missing here")
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.values = append(v.values, item)
		r.space()
	}
	r.at++
	return v, nil
}

func (r *jsonReader) number() (jsonValue, error) {
	start := r.at
	for r.at < len(r.data) && strings.IndexByte("+-.0123456789eE", r.data[r.at]) >= 0 {
		r.at++
	}
	text := string(r.data[start:r.at])
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != text || number > largestNumber || number < -largestNumber {
		return jsonValue{}, fault("", "numbers are whole, at most 2^53-1, and have one spelling")
	}
	return jsonValue{kind: jsonNumber, number: number}, nil
}

// string reads a string. Control characters are refused however they are written, and so are
// surrogates without their other half.
func (r *jsonReader) string() (string, error) {
	r.at++
	var b []byte
	for {
		c := r.next()
		r.at++
		switch {
		case c == '"':
			return string(b), nil
		case c < ' ' || c == 0x7f:
			return "", fault("", "a string does not end, or has a control character in it")
		case c != '\\':
			b = append(b, c)
			continue
		}
		c = r.next()
		r.at++
		switch c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'u':
			u, ok := r.hex()
			if ok && utf16.IsSurrogate(u) {
				ok = r.next() == '\\' && r.at+1 < len(r.data) && r.data[r.at+1] == 'u'
				if ok {
					r.at += 2
					var low rune
					low, ok = r.hex()
					u = utf16.DecodeRune(u, low)
					ok = ok && u != utf8.RuneError
				}
			}
			if !ok || u < ' ' || u == 0x7f {
				return "", fault("", "a string has an escape in it that says nothing, or a control character")
			}
			b = utf8.AppendRune(b, u)
		default:
			return "", fault("", "a string has an escape in it that says nothing, or a control character")
		}
	}
}

func (r *jsonReader) hex() (rune, bool) {
	if r.at+4 > len(r.data) {
		return 0, false
	}
	u, err := strconv.ParseUint(string(r.data[r.at:r.at+4]), 16, 16)
	r.at += 4
	return rune(u), err == nil
}

// appendCanonical appends v as RFC 8785 writes it. Keys are ASCII, so that the order of their
// bytes is the one that it asks for.
func (v *jsonValue) appendCanonical(b []byte) []byte {
	switch v.kind {
	case jsonString:
		return appendCanonicalString(b, v.text)
	case jsonNumber:
		return strconv.AppendInt(b, v.number, 10)
	case jsonBool:
		return strconv.AppendBool(b, v.number == 1)
	case jsonArray:
		b = append(b, '[')
		for i := range v.values {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.values[i].appendCanonical(b)
		}
		return append(b, ']')
	}
	order := make([]int, len(v.keys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int { return strings.Compare(v.keys[x], v.keys[y]) })
	b = append(b, '{')
	for n, i := range order {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(appendCanonicalString(b, v.keys[i]), ':')
		b = v.values[i].appendCanonical(b)
	}
	return append(b, '}')
}

// appendCanonicalString appends a string that has no control characters.
func appendCanonicalString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return append(b, '"')
}
