package audit

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mahrem/mahrem/privacy"
)

func entrySchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("../docs/spec/entry.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("entry.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("entry.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// field is one field of an entry as it stands there.
type field struct{ name, value string }

// fieldsOf splits an entry in the order in which the fields stand.
func fieldsOf(t *testing.T, leaf []byte) []field {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(string(leaf)))
	if _, err := decoder.Token(); err != nil {
		t.Fatal(err)
	}
	var fields []field
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			t.Fatal(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			t.Fatal(err)
		}
		fields = append(fields, field{name.(string), string(value)})
	}
	return fields
}

func join(fields []field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = `"` + f.name + `":` + f.value
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// eventOfEveryField has every field that an entry of the kind can have.
func eventOfEveryField(kind Kind) Event {
	e := Event{
		Kind: kind, Outcome: Done, Principal: privacy.Principal{ID: "p", Role: privacy.RoleService, Recipient: "shop"},
		Subject: Subject{ID: privacy.DataSubjectID{1}, Blinding: BlindingKey{2}}, Purpose: "greeting", Channel: "web", Recipient: "ads",
		Checks: []string{"a.b", "c.d"}, Attributes: []privacy.AttributeName{"x", "y"}, Policy: Digest{1}, Facts: Digest{2}, List: Digest{3}, Count: 12,
	}
	if kind == TokenMinted {
		e.Minted = privacy.RoleAuditor
	}
	return e
}

// TestSchemaAndParserAgree: the JSON Schema of docs/spec takes what the parser takes, and
// refuses what it refuses, for each kind with each field removed and changed in every way
// that a JSON Schema can see.
func TestSchemaAndParserAgree(t *testing.T) {
	t.Parallel()
	schema := entrySchema(t)
	encoder, err := NewEncoder(EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{9} }, Now: func() time.Time { return time.UnixMilli(1795325000123) }})
	if err != nil {
		t.Fatal(err)
	}
	values := []string{
		`""`, `"word"`, `"two words"`, `"a@b"`, `"žluť"`, `null`, `true`, `1`, `2`, `-5`, `"1"`, `[]`, `["word"]`, `["two words"]`, `[1]`, `{}`,
		`"` + strings.Repeat("w", 128) + `"`, `"` + strings.Repeat("w", 129) + `"`,
		`"` + strings.Repeat("A", 43) + `"`, `"` + strings.Repeat("A", 42) + `E"`, `"` + strings.Repeat("A", 42) + `B"`,
		`"` + strings.Repeat("A", 22) + `"`, `"` + strings.Repeat("A", 21) + `B"`, `"` + strings.Repeat("A", 21) + `Q"`, `"` + strings.Repeat("A", 21) + `="`,
		`"allow"`, `"deny"`, `"done"`, `"service"`, `"dpo"`, `"auditor"`, `"ingest"`, `"root"`, `"2-10"`, `"10-2"`, `"1000001-"`,
		`9223372036854775807`, `9223372036854775808`, wordList(64), wordList(65), wordList(128), wordList(129),
	}
	for _, kind := range Kinds() {
		values = append(values, `"`+string(kind)+`"`)
	}
	compared, accepted := 0, 0
	compare := func(what string, fields []field) {
		text := join(fields)
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		bySchema := schema.Validate(document)
		_, byParser := ParseEntry([]byte(text))
		if (bySchema == nil) != (byParser == nil) {
			t.Errorf("%s: the schema says %v, the parser %v:\n%s", what, bySchema, byParser, text)
		}
		if compared++; byParser == nil {
			accepted++
		}
	}
	for _, kind := range Kinds() {
		event := eventOfEveryField(kind)
		leaf, _, err := encoder.AppendLeaf(nil, &event)
		if err != nil {
			t.Fatal(err)
		}
		whole := fieldsOf(t, leaf)
		if join(whole) != string(leaf) {
			t.Fatalf("%s is not put together again", leaf)
		}
		compare(string(kind), whole)
		compare(string(kind)+" with another field", append(append([]field(nil), whole...), field{"zz", `"x"`}))
		for i, f := range whole {
			without := append(append([]field(nil), whole[:i]...), whole[i+1:]...)
			compare(fmt.Sprintf("%s without %s", kind, f.name), without)
			if kind != QueryAnswered && kind != TokenMinted && kind != LogStarted && f.name != "k" {
				continue // the other fields are of one shape for all kinds
			}
			for _, value := range values {
				changed := append([]field(nil), whole...)
				changed[i].value = value
				compare(fmt.Sprintf("%s with %s %s", kind, f.name, value), changed)
			}
		}
	}
	if compared < 1000 || accepted < 100 || accepted == compared {
		t.Errorf("%d of %d were accepted", accepted, compared)
	}
}

// wordList has n sorted words.
func wordList(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(`"w%03d"`, i)
	}
	return "[" + strings.Join(words, ",") + "]"
}
