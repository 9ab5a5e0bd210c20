package opendsr

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mahrem/mahrem/dsar"
)

// Limits of a message. What is larger is refused before it is read.
const (
	MaxBody       = 256 << 10
	maxIdentities = 64
	maxCallbacks  = 8
	maxValue      = 512
	maxURL        = 2048
	maxDepth      = 16
)

// object is one JSON object by its keys as they are written. Package encoding/json would
// take "Subject_Request_ID" for subject_request_id, and of a key that stands twice the
// last: two readers of one signed body could see two different requests.
type object map[string]json.RawMessage

// parseObject reads a body that must be one JSON object and nothing else.
func parseObject(body []byte) (object, error) {
	if len(body) > MaxBody {
		return nil, &Refusal{Check: CheckBodySize, Reason: "the body is too large"}
	}
	if !utf8.Valid(body) {
		return nil, malformed("the body is not UTF-8")
	}
	if err := checkDepth(body); err != nil {
		return nil, err
	}
	return readObject(body)
}

// checkDepth refuses bodies that are nested deeper than anything the protocol has, and
// keys that stand twice at any depth.
func checkDepth(body []byte) error {
	type level struct {
		keys    map[string]bool // nil in an array
		wantKey bool
	}
	var open []level
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(open) == 0 {
			return nil
		}
		if err != nil {
			return malformed("the body is not JSON")
		}
		if top := len(open) - 1; top >= 0 && open[top].keys != nil && open[top].wantKey && token != json.Delim('}') {
			key, _ := token.(string)
			if open[top].keys[key] {
				return malformed("a key stands twice in the same object")
			}
			open[top].keys[key], open[top].wantKey = true, false
			continue
		}
		switch token {
		case json.Delim('{'):
			open = append(open, level{keys: map[string]bool{}, wantKey: true})
		case json.Delim('['):
			open = append(open, level{})
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
			fallthrough
		default:
			if top := len(open) - 1; top >= 0 && open[top].keys != nil {
				open[top].wantKey = true
			}
		}
		if len(open) > maxDepth {
			return malformed("the body is nested too deeply")
		}
	}
}

func readObject(raw []byte) (object, error) {
	var o object
	if err := json.Unmarshal(raw, &o); err != nil || o == nil {
		return nil, malformed("an object is missing where one must be")
	}
	return o, nil
}

// has reports whether a field is there; null is as good as absent, because there are
// processors that write it for what does not apply.
func (o object) has(name string) bool {
	raw, there := o[name]
	return there && string(bytes.TrimSpace(raw)) != "null"
}

// text reads a string field. An absent one is "", which is refused if required.
func (o object) text(name string, limit int, required bool) (string, error) {
	if !o.has(name) {
		if required {
			return "", field(name, "is required")
		}
		return "", nil
	}
	var s string
	if err := json.Unmarshal(o[name], &s); err != nil {
		return "", field(name, "must be a string")
	}
	if s == "" && required {
		return "", field(name, "is required")
	}
	if len(s) > limit {
		return "", field(name, "is too long")
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError }) {
		return "", field(name, "holds characters that are no text")
	}
	return s, nil
}

// list reads an array field; an absent one is empty.
func (o object) list(name string, limit int) ([]json.RawMessage, error) {
	if !o.has(name) {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(o[name], &list); err != nil {
		return nil, field(name, "must be an array")
	}
	if len(list) > limit {
		return nil, field(name, "has too many entries")
	}
	return list, nil
}

func (o object) texts(name string, limit, length int) ([]string, error) {
	list, err := o.list(name, limit)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(list))
	for _, raw := range list {
		one := object{"entry": raw}
		s, err := one.text("entry", length, true)
		if err != nil {
			return nil, field(name, "must be an array of strings")
		}
		out = append(out, s)
	}
	return out, nil
}

// object reads a field that is an object; an absent one is nil.
func (o object) object(name string) (object, error) {
	if !o.has(name) {
		return nil, nil
	}
	inner, err := readObject(o[name])
	if err != nil {
		return nil, field(name, "must be an object")
	}
	return inner, nil
}

// moment reads a time (RFC 3339).
func (o object) moment(name string, required bool) (time.Time, error) {
	s, err := o.text(name, 64, required)
	if err != nil || s == "" {
		return time.Time{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || at.Year() < 2000 || at.Year() > 2999 {
		return time.Time{}, field(name, "must be a time such as 2026-03-01T12:00:00Z")
	}
	return at.UTC(), nil
}

// id reads the identifier of a request: a UUIDv4 in lower case (section 1.1).
func (o object) id(name string) (SubjectRequestID, error) {
	s, err := o.text(name, 64, true)
	if err != nil {
		return SubjectRequestID{}, err
	}
	id, err := ParseSubjectRequestID(s)
	if err != nil {
		return SubjectRequestID{}, field(name, "must be a UUIDv4 in lower case")
	}
	return id, nil
}

// SubjectRequestID is the name that the controller gave a request.
type SubjectRequestID [16]byte

// ParseSubjectRequestID reads a UUIDv4 in lower case.
func ParseSubjectRequestID(text string) (SubjectRequestID, error) {
	id, err := dsar.ParseRequestID(text)
	if err != nil || id[6]>>4 != 4 || id[8]>>6 != 2 {
		return SubjectRequestID{}, field("subject_request_id", "must be a UUIDv4 in lower case")
	}
	return SubjectRequestID(id), nil
}

// String returns the UUID as text.
func (id SubjectRequestID) String() string { return dsar.RequestID(id).String() }

// moment writes a time as messages have it: whole seconds, UTC.
func moment(at time.Time) string { return at.UTC().Truncate(time.Second).Format(time.RFC3339) }

// encode writes a document without escaping what is harmless in JSON.
func encode(document any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		panic("opendsr: a document that cannot be encoded") // strings, numbers and times always can
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}
