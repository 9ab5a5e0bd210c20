package vault

import (
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// EventView is one opened event that has not been taken apart: a look at its values
// costs no memory. A query that wants two values of some hundred events reads views; who
// wants to keep or change events opens them as [Event].
type EventView struct {
	// Type is "purchase", "view" and the like.
	Type string
	// At is when it happened.
	At time.Time
	// fields are the encoded attributes, known to be well formed.
	fields string
}

// Value returns the value of one attribute, or the zero value if the event lacks it.
func (e *EventView) Value(name privacy.AttributeName) privacy.Plain {
	return privacy.NewPlain(e.RevealPersonalData(name))
}

// RevealPersonalData returns the value of one attribute in clear, or the empty text. It
// is for looking at many values of which few are kept; what is kept is a [privacy.Plain].
func (e *EventView) RevealPersonalData(name privacy.AttributeName) string {
	r := reader{text: e.fields}
	for r.text != "" {
		if found, value := r.raw(), r.raw(); found == string(name) {
			return value
		}
	}
	return ""
}

// RevealAllPersonalData goes through all values in clear, by the names of their attributes
// in order. It is for handing a person what is held about them.
func (e *EventView) RevealAllPersonalData() iter.Seq2[privacy.AttributeName, string] {
	return func(yield func(privacy.AttributeName, string) bool) {
		r := reader{text: e.fields}
		for r.text != "" {
			if name, value := r.raw(), r.raw(); !yield(privacy.AttributeName(name), value) {
				return
			}
		}
	}
}

// raw takes a text that was found to be well formed before.
func (r *reader) raw() string {
	n := r.uvarint()
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}

// OpenChunkViews is [PersonKey.OpenChunk] without taking the events apart. It appends
// them to views, oldest first, and checks the chunk as strictly.
func (k *PersonKey) OpenChunkViews(views []EventView, stream privacy.DataCategory, chunk, version int64, sealed []byte) ([]EventView, error) {
	plaintext, err := open(k.dek, chunkPlace(k.id, stream, chunk, version), sealed)
	if err != nil {
		return nil, err
	}
	return decodeViews(views, plaintext)
}

// decodeViews appends the events of a chunk to views.
func decodeViews(views []EventView, plaintext []byte) ([]EventView, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, fmt.Errorf("decoding chunk of %d bytes: %w", len(plaintext), privacy.ErrDamaged)
	}
	r := &reader{text: string(plaintext)}
	if version := r.byte(); version != codecVersion {
		return nil, fmt.Errorf("decoding chunk of format %d: %w", version, privacy.ErrDamaged)
	}
	for n := 0; !r.broken && (r.text != "" || n == 0); n++ {
		if n == MaxChunkEvents {
			r.fail()
			break
		}
		views = append(views, r.view())
	}
	if err := r.end("chunk"); err != nil {
		return nil, err
	}
	return views, nil
}

// view takes one event. Times that [EncodeEvents] would refuse, and names out of order,
// are mistakes.
func (r *reader) view() EventView {
	view := EventView{Type: r.string(MaxName)}
	milli := unzigzag(r.uvarint())
	count := r.count(MaxFields)
	if r.broken || view.Type == "" || milli < firstMilli || milli > lastMilli {
		r.fail()
		return EventView{}
	}
	view.At = time.UnixMilli(milli).UTC()
	start, last := r.text, ""
	for range count {
		name := r.string(MaxName)
		r.string(MaxPlaintext)
		if r.broken || name <= last {
			r.fail()
			return EventView{}
		}
		last = name
	}
	view.fields = start[:len(start)-len(r.text)]
	return view
}

// String says REDACTED.
func (EventView) String() string { return privacy.Redacted }

// Format says REDACTED for every verb and flag.
func (EventView) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (EventView) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (EventView) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
