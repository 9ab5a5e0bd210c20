// Package bits reads the bit strings of which consent strings are made: text over the URL
// alphabet of RFC 4648, six bits a letter, most significant bit first, filled up with zero
// bits at the end.
//
// A Reader remembers the first thing that went wrong and returns zero from then on, so that
// a decoder is written as a list of fields and asks once at the end.
package bits

// Fault is why a string was not understood. It is a word, and never holds a part of the
// string: it goes into logs and metrics.
type Fault string

// Error returns the word.
func (f Fault) Error() string { return string(f) }

// The faults of reading. Formats add their own.
const (
	// Empty: there is nothing to read.
	Empty Fault = "empty"
	// TooLong: longer than any honest string.
	TooLong Fault = "too_long"
	// Alphabet: a letter that is not of the alphabet.
	Alphabet Fault = "alphabet"
	// Truncated: the string ends in the middle of a field.
	Truncated Fault = "truncated"
	// Trailing: something is left over behind the last field.
	Trailing Fault = "trailing"
	// Range: a list of numbers that runs backwards, or out of bounds.
	Range Fault = "range"
)

// Span is the numbers from First to Last, both included.
type Span struct{ First, Last int }

// Set is a set of numbers as spans, in the order of the string. It is not spelled out: a
// few bytes can name every number there is.
type Set []Span

// Has reports whether n is in the set.
func (s Set) Has(n int) bool {
	for _, span := range s {
		if span.First <= n && n <= span.Last {
			return true
		}
	}
	return false
}

// maxFibonacci bounds a number in Fibonacci coding; identifiers have 16 bits.
const maxFibonacci = 1 << 16

// Reader reads fields from a string.
type Reader struct {
	text  string
	next  int // the next bit
	fault Fault
}

// NewReader returns a reader of text, which is checked letter by letter as it is read.
func NewReader(text string) *Reader {
	r := &Reader{text: text}
	if text == "" {
		r.fault = Empty
	}
	return r
}

// Fail makes the reader fail, unless it has failed already.
func (r *Reader) Fail(fault Fault) {
	if r.fault == "" {
		r.fault = fault
	}
}

// Err returns the first fault, or nil.
func (r *Reader) Err() error {
	if r.fault == "" {
		return nil
	}
	return r.fault
}

// Left is how many bits there are still to read.
func (r *Reader) Left() int {
	if r.fault != "" {
		return 0
	}
	return 6*len(r.text) - r.next
}

// End returns the first fault; what is left must be zero bits. Encoders of both kinds are
// about, those that fill up to six bits and those that fill up to eight; some fill up more.
func (r *Reader) End() error {
	for r.Left() > 0 {
		if r.Bool() {
			r.Fail(Trailing)
		}
	}
	return r.Err()
}

// Bool reads one bit.
func (r *Reader) Bool() bool {
	if r.fault != "" {
		return false
	}
	at := r.next / 6
	if at >= len(r.text) {
		r.fault = Truncated
		return false
	}
	six, ok := value(r.text[at])
	if !ok {
		r.fault = Alphabet
		return false
	}
	bit := six >> (5 - r.next%6) & 1
	r.next++
	return bit == 1
}

// Int reads a number of at most 36 bits.
func (r *Reader) Int(width int) int64 {
	var n int64
	for range width {
		n <<= 1
		if r.Bool() {
			n |= 1
		}
	}
	if r.fault != "" {
		return 0
	}
	return n
}

// Flags reads a field of width bits and returns the places that are set, from one.
func (r *Reader) Flags(width int) Set {
	var set Set
	for n := 1; n <= width; n++ {
		if r.Bool() {
			set = set.with(n)
		}
		if r.fault != "" {
			return nil
		}
	}
	return set
}

// with appends n, which must be above all numbers of the set.
func (s Set) with(n int) Set {
	if last := len(s) - 1; last >= 0 && s[last].Last == n-1 {
		s[last].Last = n
		return s
	}
	return append(s, Span{n, n})
}

// Letters reads n letters of six bits each, A is zero.
func (r *Reader) Letters(n int) string {
	text := make([]byte, n)
	for i := range text {
		letter := r.Int(6)
		if letter > 'Z'-'A' {
			r.Fail(Range)
		}
		text[i] = 'A' + byte(letter)
	}
	if r.fault != "" {
		return ""
	}
	return string(text)
}

// Range reads a list of numbers: twelve bits say how many items, an item is a number of 16
// bits or, after a one bit, two of them. Each must be at least one, and at most limit.
func (r *Reader) Range(limit int) Set {
	var set Set
	for range r.Int(12) {
		group := r.Bool()
		span := Span{First: int(r.Int(16))}
		span.Last = span.First
		if group {
			span.Last = int(r.Int(16))
		}
		if span.First < 1 || span.Last < span.First || span.Last > limit {
			r.Fail(Range)
		}
		if r.fault != "" {
			return nil
		}
		set = append(set, span)
	}
	return set
}

// Fibonacci reads a number in Fibonacci coding, at least one.
func (r *Reader) Fibonacci() int {
	sum, low, high, before := 0, 1, 2, false
	for {
		bit := r.Bool()
		if r.fault != "" {
			return 0
		}
		if bit && before {
			return sum
		}
		if bit {
			sum += low
		}
		before = bit
		if low, high = high, low+high; low > 2*maxFibonacci || sum > maxFibonacci {
			r.Fail(Range)
			return 0
		}
	}
}

// FibonacciRange reads a list of numbers in Fibonacci coding: twelve bits say how many
// items, an item is the distance to the number before, or, after a one bit, that and the
// length of a group.
func (r *Reader) FibonacciRange() Set {
	var set Set
	last := 0
	for range r.Int(12) {
		group := r.Bool()
		span := Span{First: last + r.Fibonacci()}
		span.Last = span.First
		if group {
			span.Last += r.Fibonacci()
		}
		if span.Last > maxFibonacci {
			r.Fail(Range)
		}
		if r.fault != "" {
			return nil
		}
		last = span.Last
		set = append(set, span)
	}
	return set
}

// value is what a letter stands for.
func value(letter byte) (byte, bool) {
	switch {
	case 'A' <= letter && letter <= 'Z':
		return letter - 'A', true
	case 'a' <= letter && letter <= 'z':
		return letter - 'a' + 26, true
	case '0' <= letter && letter <= '9':
		return letter - '0' + 52, true
	case letter == '-':
		return 62, true
	case letter == '_':
		return 63, true
	}
	return 0, false
}
