package receipt

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
)

var schemaNames = map[string]string{"claims": "receipt", string(ISO27560): "receipt-iso27560", string(Kantara): "receipt-kantara"}

// full is a complete implementation of JSON Schema.
func full(t *testing.T, file string) func(document []byte) error {
	t.Helper()
	text, err := os.ReadFile("../../docs/spec/" + file + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := schemaFiles.ReadFile("schemas/" + file + ".schema.json")
	if err != nil || !bytes.Equal(text, ours) {
		t.Fatalf("schemas/%s.schema.json is not what docs/spec has: copy it", file)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("s.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(document []byte) error {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
		if err != nil {
			return err
		}
		return compiled.Validate(value)
	}
}

// bent calls do with document and everything that comes of changing one place of it.
func bent(document any, do func()) {
	do()
	substitutes := []any{
		nil, true, false, json.Number("0"), json.Number("-1"), json.Number("1.5"), json.Number("1e3"), json.Number("1e300"), "", "x", "ayse@example.org",
		strings.Repeat("ğ", 512), strings.Repeat("ğ", 513), strings.Repeat("a", 9000),
		[]any{},
		[]any{"x"},
		map[string]any{},
		map[string]any{"@id": "x"},
	}
	var walk func(value any, set func(any))
	walk = func(value any, set func(any)) {
		for _, other := range substitutes {
			set(other)
			do()
		}
		if text, ok := value.(string); ok && text != "" {
			for _, other := range []string{text + " ", text[1:], "\n" + text, strings.ToUpper(text), text + text, "\u0000"} {
				set(other)
				do()
			}
		}
		set(value)
		switch value := value.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(value)) {
				kept := value[name]
				delete(value, name)
				do()
				value["other"] = kept
				do()
				delete(value, "other")
				walk(kept, func(v any) { value[name] = v })
				value[name] = kept
			}
		case []any:
			for i, kept := range value {
				walk(kept, func(v any) { value[i] = v })
				value[i] = kept
			}
			if len(value) > 0 {
				set(append(slices.Clone(value), value[0]))
				do()
				set(value[1:])
				do()
				set(value)
			}
		}
	}
	holder := document.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(holder)) {
		kept := holder[name]
		delete(holder, name)
		do()
		walk(kept, func(v any) { holder[name] = v })
		holder[name] = kept
	}
}

// TestSchemasBothWays: what is written fits the published schemas, and what the checker of
// this package believes is exactly what a complete implementation does, over every document
// that comes of bending one place of a good one.
func TestSchemasBothWays(t *testing.T) {
	t.Parallel()
	documents := map[string][][]byte{}
	for _, action := range []consent.Action{
		consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Expired, consent.Objected, consent.GuardianGranted, consent.GuardianWithdrawn,
	} {
		for _, format := range []Format{ISO27560, Kantara} {
			f := facts()
			if f.Record.Action = action; !action.IsYes() {
				f.Record.Explicit, f.Record.Categories = false, nil
			}
			if document, err := f.document(format, consent.FormatID(f.Record.ID), noon); err == nil {
				documents[string(format)] = append(documents[string(format)], document)
			}
		}
	}
	text, err := json.Marshal(claims{Issuer: issuer, Subject: strings.Repeat("A", 50), Audience: "web_shop", ID: consent.FormatID(facts().Record.ID), Format: ISO27560, State: "granted", Receipt: json.RawMessage("{}")})
	if err != nil {
		t.Fatal(err)
	}
	documents["claims"] = [][]byte{text}
	for name, file := range schemaNames {
		fullSchema, ours := full(t, file), schemas()[name]
		accepted, refused := 0, 0
		for i, document := range documents[name] {
			if err := fullSchema(document); err != nil {
				t.Fatalf("%s: what is written does not fit: %v", name, err)
			}
			if i > 0 { // one is bent, the rest are looked at as they are
				if err := ours.validate(document); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				continue
			}
			var value any
			decoder := json.NewDecoder(bytes.NewReader(document))
			decoder.UseNumber()
			if err := decoder.Decode(&value); err != nil {
				t.Fatal(err)
			}
			bent(value, func() {
				changed, err := json.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				want, got := fullSchema(changed) == nil, ours.validate(changed) == nil
				if want != got {
					t.Errorf("%s: fits %t, and we say %t: %s", name, want, got, changed)
				}
				if want {
					accepted++
				} else {
					refused++
				}
			})
		}
		if accepted < 5 || refused < 100 {
			t.Errorf("%s: %d documents fit and %d do not: too few to compare", name, accepted, refused)
		}
		t.Logf("%s: %d bent documents fit and %d do not, as a complete implementation says", name, accepted, refused)
	}
}

// TestEveryPurposeOfTheCatalogueHasAReceipt: whatever ships can be put in a receipt.
func TestEveryPurposeOfTheCatalogueHasAReceipt(t *testing.T) {
	t.Parallel()
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	handle := newKeyset(t)
	keys := mustKeys(t, handle)
	for _, purpose := range catalogue.Purposes() {
		for _, format := range []Format{ISO27560, Kantara} {
			f := facts()
			if f.Purpose, err = Describe(catalogue, purpose); err != nil {
				t.Fatal(err)
			}
			f.Record.Purpose = purpose
			r, _, err := Verify(mustSign(t, handle, f, format).Token, keys, noon)
			if err != nil || r.Purpose != string(purpose) {
				t.Errorf("%s as %s: %v", purpose, format, err)
			}
		}
	}
	if _, err := Describe(catalogue, "astrology"); err == nil {
		t.Error("described a purpose that there is not")
	}
	newsletter, err := Describe(catalogue, "newsletter")
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(newsletter.Title.In("tr")) != "Bülten" || len(newsletter.Data) == 0 || len(newsletter.Recipients) == 0 || newsletter.Data[0].Keep == "" {
		t.Errorf("the newsletter is %+v", newsletter)
	}
}

// TestTermsHaveAPrefix: a name with a colon means nothing unless the context says what.
func TestTermsHaveAPrefix(t *testing.T) {
	t.Parallel()
	document, err := facts().document(ISO27560, consent.FormatID(facts().Record.ID), noon)
	if err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(document, &value); err != nil {
		t.Fatal(err)
	}
	known := prefixes()
	term := func(name string) {
		if prefix, _, ok := strings.Cut(name, ":"); ok && known[prefix] == "" && prefix != "urn" && prefix != "https" {
			t.Errorf("%s has no prefix in the context", name)
		}
	}
	var walk func(any)
	walk = func(value any) {
		switch value := value.(type) {
		case map[string]any:
			for name, child := range value {
				if !strings.HasPrefix(name, "@") {
					term(name)
				}
				if text, ok := child.(string); ok && (name == "@id" || name == "@type") {
					term(text)
				}
				walk(child)
			}
		case []any:
			for _, child := range value {
				walk(child)
			}
		}
	}
	delete(value, "@context")
	walk(value)
}
