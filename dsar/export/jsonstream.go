package export

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// jsonStream writes one JSON document piece by piece. The first error sticks. It indents
// by nothing but puts each element of a list on a line of its own, so that a file of any
// size can be looked into with ordinary tools.
type jsonStream struct {
	w     *bufio.Writer
	comma bool
	err   error
}

func newJSONStream(w io.Writer) *jsonStream { return &jsonStream{w: bufio.NewWriterSize(w, 64<<10)} }

func (j *jsonStream) raw(text string) {
	if j.err == nil {
		_, j.err = j.w.WriteString(text)
	}
}

// next separates what follows from what is before.
func (j *jsonStream) next() {
	if j.comma {
		j.raw(",\n")
	}
	j.comma = true
}

// object writes { … }; content writes its fields.
func (j *jsonStream) object(content func()) {
	j.raw("{")
	j.comma = false
	content()
	j.raw("}")
	j.comma = true
}

// key writes the name of the next field.
func (j *jsonStream) key(name string) {
	j.next()
	j.raw(`"` + name + `":`)
}

// field writes one field whole.
func (j *jsonStream) field(name string, value any) {
	j.key(name)
	j.value(value)
}

// list writes a field that is a list; content writes its elements with item.
func (j *jsonStream) list(name string, content func()) {
	j.key(name)
	j.raw("[\n")
	j.comma = false
	content()
	j.raw("\n]")
	j.comma = true
}

// item writes one element of a list whole.
func (j *jsonStream) item(value any) {
	j.next()
	j.value(value)
}

func (j *jsonStream) value(value any) {
	if j.err != nil {
		return
	}
	text, err := json.Marshal(value)
	if err != nil {
		// The value is not in the text: the type alone is.
		j.err = fmt.Errorf("encoding %T", value)
		return
	}
	_, j.err = j.w.Write(text)
}

func (j *jsonStream) close() error {
	j.raw("\n")
	if j.err == nil {
		j.err = j.w.Flush()
	}
	return j.err
}
