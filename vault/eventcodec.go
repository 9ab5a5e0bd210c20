package vault

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// EncodeEvents writes the plaintext of a chunk: a version byte and the events one after
// the other, so that events can be appended without decoding those before. The format
// is in docs/spec/record.md. The error wraps [privacy.ErrInvalid] when there are no
// events, more than [MaxChunkEvents], or one exceeds a limit.
func EncodeEvents(events []Event) ([]byte, error) {
	if len(events) == 0 || len(events) > MaxChunkEvents {
		return nil, fmt.Errorf("encoding chunk of %d events: %w", len(events), privacy.ErrInvalid)
	}
	out := make([]byte, 0, 1+96*len(events))
	out = append(out, codecVersion)
	var names []privacy.AttributeName
	for _, event := range events {
		var err error
		if out, names, err = appendEvent(out, event, names[:0]); err != nil {
			return nil, err
		}
	}
	if len(out) > MaxPlaintext {
		return nil, fmt.Errorf("encoding chunk of %d bytes: %w", len(out), privacy.ErrInvalid)
	}
	return out, nil
}

// appendEvent appends one event; names is room to sort in.
func appendEvent(out []byte, event Event, names []privacy.AttributeName) ([]byte, []privacy.AttributeName, error) {
	if len(event.Fields) > MaxFields {
		return nil, nil, fmt.Errorf("encoding event of %d attributes: %w", len(event.Fields), privacy.ErrInvalid)
	}
	milli := event.At.UnixMilli()
	if milli < firstMilli || milli > lastMilli {
		return nil, nil, fmt.Errorf("encoding event outside the years 1 to 9999: %w", privacy.ErrInvalid)
	}
	out, err := appendName(out, event.Type)
	if err != nil {
		return nil, nil, err
	}
	out = binary.AppendUvarint(out, zigzag(milli))
	for name := range event.Fields {
		names = append(names, name)
	}
	slices.Sort(names)
	out = binary.AppendUvarint(out, uint64(len(names)))
	for _, name := range names {
		if out, err = appendName(out, string(name)); err != nil {
			return nil, nil, err
		}
		if out, err = appendPlain(out, event.Fields[name]); err != nil {
			return nil, nil, err
		}
	}
	return out, names, nil
}

// DecodeEvents reads what [EncodeEvents] wrote and nothing else, as strictly as
// [DecodeRecord].
func DecodeEvents(plaintext []byte) ([]Event, error) {
	var room [MaxChunkEvents]EventView
	views, err := decodeViews(room[:0], plaintext)
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(views))
	for i, view := range views {
		events[i] = view.event()
	}
	return events, nil
}

// The times an event can have, so that every decoded event can be encoded again.
var (
	firstMilli = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	lastMilli  = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
)

// event takes a view apart.
func (e EventView) event() Event {
	event := Event{Type: e.Type, At: e.At, Fields: make(map[privacy.AttributeName]privacy.Plain, 4)}
	r := reader{text: e.fields}
	for r.text != "" {
		name := r.raw()
		event.Fields[privacy.AttributeName(name)] = privacy.NewPlain(r.raw())
	}
	return event
}
