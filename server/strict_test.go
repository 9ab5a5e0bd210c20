package server

import (
	"bytes"
	"encoding/json"
	"reflect"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestKnownNamesNeedNoEscape holds what strictReader.pointer and appendKey rely on.
func TestKnownNamesNeedNoEscape(t *testing.T) {
	t.Parallel()
	plain := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	var walk func(s *shape)
	walk = func(s *shape) {
		if s.items != nil {
			walk(s.items)
		}
		for name, field := range s.fields {
			if !plain.MatchString(name) {
				t.Errorf("name %q", name)
			}
			walk(field.shape)
		}
	}
	for _, request := range []any{queryRequest{}, consentRequest{}, reidentifyRequest{}} {
		walk(shapeOf(reflect.TypeOf(request)))
	}
}

type everything struct {
	Text string   `json:"text"`
	Flag bool     `json:"flag"`
	Many []string `json:"many"`
	Size int      `json:"size"`
	In   *struct {
		Deep [][]int64 `json:"deep"`
	} `json:"in"`
}

func readEverything(data []byte, into *everything) *fault {
	return decodeStrict(data, everythingShape, reflect.ValueOf(into).Elem())
}

var everythingShape = shapeOf(reflect.TypeFor[everything]())

func TestStrictAccepts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{}`, ` { } `, `{"text":""}`, `{"text":"\ud83d\ude00 ğ \u0001 \/\b"}`, `{"flag":true,"size":-9007199254740}`,
		`{"many":[],"in":{"deep":[[1],[],[0,-0]]},"flag":false}`,
	} {
		if f := readEverything([]byte(text), new(everything)); f != nil {
			t.Errorf("%s: %+v", text, f)
		}
	}
	for _, text := range []string{
		`{"size":01}`, `{"size":1.0}`, `{"size":1e3}`, `{"size":-}`, `{"size":99999999999999999}`, `{"flag":truth}`, `{"flag":tru`,
		`{"in":{"deep":[[[1]]]}}`, `{"flag":true "size":1}`, `{"flag" true}`, `{,}`, `{"flag":true,}`, `{"many":["a" "b"]}`, `{"text":"`, `{"text":"\u12`, `{"text":"\`,
	} {
		if f := readEverything([]byte(text), new(everything)); f == nil {
			t.Errorf("%s was accepted", text)
		}
	}
}

// FuzzStrict holds that what is accepted is JSON, and that encoding/json, told to refuse
// unknown fields, reads the same out of it.
func FuzzStrict(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a","flag":true,"many":["x","y"],"size":12,"in":{"deep":[[1,2],[]]}}`,
		`{"text":"\ud83d\ude00\n"}`, `{"text":"\udc00"}`, `{"many":[]}`, `{"size":-1}`, `{"text":"a","text":"b"}`, `{"TEXT":"a"}`, "{\"text\":\"\xff\"}", `null`, `[[[`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs everything
		if found := readEverything(data, &ours); found != nil {
			if found.reason == "" {
				t.Error("a fault without a reason")
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted, but not JSON: %q", data)
		}
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&theirs); err != nil {
			t.Fatalf("accepted, but encoding/json says %v: %q", err, data)
		}
		if diff := cmp.Diff(theirs, ours, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%q (-encoding/json +strict):\n%s", data, diff)
		}
	})
}

// FuzzAppendString holds that what we write, encoding/json reads back.
func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "Ayşe", "\x00\x1f\"\\\n", "\xff\xfe", "\u2028<script>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var wanted, got string
		if err := json.Unmarshal(want, &wanted); err != nil {
			t.Fatal(err)
		}
		written := appendString(nil, text)
		if err := json.Unmarshal(written, &got); err != nil || got != wanted {
			t.Fatalf("%q is written as %s and read as %q (%v)", text, written, got, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	s := newServer(&fake{}, Config{})
	shape := shapeOf(reflect.TypeFor[queryRequest]())
	b.Run("strict", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var q queryRequest
			if f := decodeStrict([]byte(queryBody), shape, reflect.ValueOf(&q).Elem()); f != nil {
				b.Fatal(f)
			}
		}
	})
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var q queryRequest
			if err := json.Unmarshal([]byte(queryBody), &q); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("validate", func(b *testing.B) {
		var q queryRequest
		if err := json.Unmarshal([]byte(queryBody), &q); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if faults := s.rules.check(&q); faults != nil {
				b.Fatal(faults)
			}
		}
	})
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if w := do(s, good(&routes[0])); w.Code != 200 {
				b.Fatal(w.Body)
			}
		}
	})
}
