package server

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Lenient reading of JSON for protocols that other people define, where a field that
// nobody knows must be ignored. It is lenient about that alone: what follows I-JSON
// (RFC 7493) is read, what two readers could understand differently is refused, also
// inside the parts that nobody looks at.

// maxDepth bounds how deep values may be nested.
const maxDepth = 32

// looseReader walks a body without a shape.
type looseReader struct {
	strictReader
	depth int
}

func newLooseReader(data []byte) *looseReader {
	return &looseReader{strictReader: strictReader{data: data}}
}

// whole reads one JSON object and nothing else from the data.
func (r *looseReader) whole(each func(key string) *fault) *fault {
	r.space()
	if r.at == len(r.data) {
		return r.syntax("the body is empty")
	}
	if f := r.object(each); f != nil {
		return f
	}
	if r.space(); r.at != len(r.data) {
		return r.syntax("something follows the end of the JSON text")
	}
	return nil
}

// object reads an object and calls each with every key when its value is next. What each
// does not read is skipped.
func (r *looseReader) object(each func(key string) *fault) *fault {
	if r.peek() != '{' {
		if f := r.skip(); f != nil {
			return f
		}
		return r.fault("this must be an object")
	}
	if r.depth++; r.depth > maxDepth {
		return r.syntax("values are nested too deeply")
	}
	r.at++
	var room [8]string
	seen := keySet{few: room[:0]}
	for first := true; ; first = false {
		r.space()
		if r.peek() == '}' && first {
			break
		}
		if r.peek() != '"' {
			return r.syntax("a key in double quotes is missing here")
		}
		key, f := r.word()
		if f != nil {
			return f
		}
		if !seen.add(key) {
			return r.syntax("a field of this object stands there twice")
		}
		if r.space(); r.peek() != ':' {
			return r.syntax("a colon is missing after this key")
		}
		r.at++
		r.space()
		before := r.at
		if each != nil {
			if f := each(key); f != nil {
				return f
			}
		}
		if r.at == before {
			if f := r.skip(); f != nil {
				return f
			}
		}
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
	r.at++
	r.depth--
	return nil
}

// array reads an array and calls each when an element is next.
func (r *looseReader) array(each func() *fault) *fault {
	if r.peek() != '[' {
		if f := r.skip(); f != nil {
			return f
		}
		return r.fault("this must be an array")
	}
	if r.depth++; r.depth > maxDepth {
		return r.syntax("values are nested too deeply")
	}
	r.at++
	for first := true; ; first = false {
		r.space()
		if r.peek() == ']' && first {
			break
		}
		if f := each(); f != nil {
			return f
		}
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
	r.at++
	r.depth--
	return nil
}

// skip reads any value without keeping it.
func (r *looseReader) skip() *fault {
	switch c := r.peek(); {
	case c == '{':
		return r.object(nil)
	case c == '[':
		return r.array(r.skip)
	case c == '"':
		_, f := r.text()
		return f
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(r.data[r.at:], []byte(word)) {
			r.at += len(word)
			return nil
		}
	}
	return r.syntax("a JSON value is missing here")
}

// raw reads any value and returns its bytes.
func (r *looseReader) raw() ([]byte, *fault) {
	start := r.at
	f := r.skip()
	return r.data[start:r.at], f
}

// null reports whether a null is next, and reads it. It stands for what is not there.
func (r *looseReader) null() bool {
	if !bytes.HasPrefix(r.data[r.at:], []byte("null")) {
		return false
	}
	r.at += len("null")
	return true
}

// word reads a string and takes its escapes out.
func (r *looseReader) word() (string, *fault) {
	if r.peek() != '"' {
		if f := r.skip(); f != nil {
			return "", f
		}
		return "", r.fault("this must be a string")
	}
	start := r.at
	text, f := r.text()
	if f != nil {
		return "", f
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text), nil
	}
	var plain string
	if err := json.Unmarshal(r.data[start:r.at], &plain); err != nil || !utf8.ValidString(plain) {
		return "", r.syntax("a string holds an escape that is not JSON")
	}
	return plain, nil
}

// yes reads true or false.
func (r *looseReader) yes() (bool, *fault) {
	value, f := r.raw()
	if f == nil && string(value) != "true" && string(value) != "false" {
		f = r.fault("this must be true or false")
	}
	return string(value) == "true", f
}

// words reads an array of strings.
func (r *looseReader) words(limit int) ([]string, *fault) {
	list := []string{}
	f := r.array(func() *fault {
		word, f := r.word()
		if f == nil && len(list) == limit {
			f = r.fault("must have at most " + strconv.Itoa(limit) + " entries")
		}
		list = append(list, word)
		return f
	})
	return list, f
}

// number reads a number (RFC 8259 section 6) that a double can hold.
func (r *looseReader) number() *fault {
	start := r.at
	digits := func() bool {
		from := r.at
		for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
			r.at++
		}
		return r.at > from
	}
	if r.peek() == '-' {
		r.at++
	}
	leading := r.peek() == '0'
	from := r.at
	ok := digits() && (!leading || r.at == from+1)
	if ok && r.peek() == '.' {
		r.at++
		ok = digits()
	}
	if c := r.peek(); ok && (c == 'e' || c == 'E') {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		ok = digits()
	}
	if ok {
		_, err := strconv.ParseFloat(string(r.data[start:r.at]), 64)
		ok = err == nil
	}
	if !ok {
		return r.syntax("this is not a number that JSON can carry")
	}
	return nil
}

// within reads a value at a key that the protocol knows, so that faults name the place.
func (r *looseReader) within(name string, read func() *fault) *fault {
	r.path = append(r.path, step{name: name})
	f := read()
	if f == nil {
		r.path = r.path[:len(r.path)-1]
	}
	return f
}

// keySet holds the keys of one object. Objects are small; one that is not costs a map
// and not a search that grows with its square.
type keySet struct {
	few  []string
	many map[string]struct{}
}

func (s *keySet) add(key string) bool {
	if s.many != nil {
		if _, twice := s.many[key]; twice {
			return false
		}
		s.many[key] = struct{}{}
		return true
	}
	for _, k := range s.few {
		if k == key {
			return false
		}
	}
	if s.few = append(s.few, key); len(s.few) > 16 {
		s.many = make(map[string]struct{}, 2*len(s.few))
		for _, k := range s.few {
			s.many[k] = struct{}{}
		}
	}
	return true
}
