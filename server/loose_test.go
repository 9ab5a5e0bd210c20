package server

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var knownPointer = regexp.MustCompile(`^(/(subject|action|resource|context|evaluations|options|evaluations_semantic|type|id|name|properties))*$`)

// FuzzReadEvaluations holds the lenient reader against encoding/json: what it takes is
// JSON and says there what it says here, and a fault names nothing that was sent.
func FuzzReadEvaluations(f *testing.F) {
	for _, seed := range []string{
		single(alice, reading, record1), personBody, `{"evaluations":[{},{"subject":` + bob + `}],"options":{"evaluations_semantic":"execute_all"}}`,
		`{"subject":{"type":"\u0041","id":"\ud83d\ude00"},"x":[1.5e3,-0,true,null,{"a":{"b":[]}}]}`, `{"subject":1}`, `{"a":1,"a":2}`, `[]`, ``, `{"subject":{"type":"x"`,
		`{"context":{"a":"\ud800"}}`, "{\"context\":{\"a\":\"\xff\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, fault := readEvaluations(data)
		if fault != nil {
			if !knownPointer.MatchString(fault.pointer) {
				t.Errorf("a fault at %q", fault.pointer)
			}
			return
		}
		var items []json.RawMessage
		if !json.Valid(data) {
			t.Fatalf("%q is not JSON", data)
		}
		// encoding/json does not tell keys in another case apart, so it is given a map.
		var all map[string]json.RawMessage
		if err := json.Unmarshal(data, &all); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		for name, got := range map[string]*entity{"subject": &e.subject, "action": &e.action, "resource": &e.resource} {
			var fields map[string]any
			if raw, ok := all[name]; ok {
				if err := json.Unmarshal(raw, &fields); err != nil {
					t.Fatalf("%q: %v", raw, err)
				}
			}
			kind, id := "type", "id"
			if name == "action" {
				kind, id = "name", ""
			}
			text, _ := fields[kind].(string)
			if got.present != (fields != nil) || got.kind != text {
				t.Errorf("%s of %q is %q", name, data, got.kind)
			}
			if text, _ := fields[id].(string); id != "" && got.id != text {
				t.Errorf("id of %s of %q is %q", name, data, got.id)
			}
			if _, ok := fields["properties"].(map[string]any); ok != (got.properties != nil) || got.properties != nil && !json.Valid(got.properties) {
				t.Errorf("properties of %s of %q are %q", name, data, got.properties)
			}
		}
		if raw, ok := all["evaluations"]; ok {
			if err := json.Unmarshal(raw, &items); err != nil {
				t.Fatal(err)
			}
		}
		if len(items) != len(e.items) {
			t.Errorf("%d items in %q, want %d", len(e.items), data, len(items))
		}
	})
}

// TestManyKeysAreNotSlow: telling equal keys apart does not take the square of their
// number, and still finds the last one.
func TestManyKeysAreNotSlow(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"subject":{"type":"t","id":"i","properties":{`)
	for i := range 100_000 {
		b.WriteString(`"` + strconv.Itoa(i) + `":0,`)
	}
	good := b.String() + `"z":0}}}`
	if _, f := readEvaluation([]byte(good)); f != nil {
		t.Errorf("%s: %s", f.pointer, f.reason)
	}
	if _, f := readEvaluation([]byte(b.String() + `"99999":0}}}`)); f == nil || !f.syntax {
		t.Error("a key that stands there twice was taken")
	}
}

func BenchmarkReadEvaluation(b *testing.B) {
	data := []byte(personBody)
	b.ReportAllocs()
	for b.Loop() {
		e, f := readEvaluation(data)
		if f != nil {
			b.Fatal(f)
		}
		if _, faults := e.question("shop"); faults != nil {
			b.Fatal(faults)
		}
	}
}
