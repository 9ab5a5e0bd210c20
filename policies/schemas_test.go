package policies

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/mahrem/mahrem/privacy"
)

// schemaTypes are what the loader reads the files into.
var schemaTypes = map[string]reflect.Type{
	"purposes":       reflect.TypeFor[Purpose](),
	"categories":     reflect.TypeFor[Category](),
	"attributes":     reflect.TypeFor[Attribute](),
	"channels":       reflect.TypeFor[Channel](),
	"recipients":     reflect.TypeFor[Recipient](),
	"obligations":    reflect.TypeFor[Obligation](),
	"jurisdictions":  reflect.TypeFor[Jurisdiction](),
	"inferences":     reflect.TypeFor[Inference](),
	"product_groups": reflect.TypeFor[Group](),
	"personas":       reflect.TypeFor[PersonaLabel](),
	"retention":      reflect.TypeFor[RetentionPeriod](),
}

func compiledSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	text, err := Schema(name)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	if err := compiler.AddResource(name, document); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return schema
}

// plainValue is what a YAML node means in JSON.
func plainValue(node *yaml.Node) any {
	switch node.Kind {
	case yaml.DocumentNode:
		return plainValue(node.Content[0])
	case yaml.MappingNode:
		object := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			object[node.Content[i].Value] = plainValue(node.Content[i+1])
		}
		return object
	case yaml.SequenceNode:
		list := make([]any, len(node.Content))
		for i, item := range node.Content {
			list[i] = plainValue(item)
		}
		return list
	}
	switch node.Tag {
	case "!!bool":
		return node.Value == "true"
	case "!!int":
		n, _ := strconv.Atoi(node.Value)
		return n
	case "!!null":
		return nil
	}
	return node.Value
}

// Every key that the loader reads is in the schema and the other way round, with the
// same kind of value.
func TestSchemasHaveTheKeysOfTheLoader(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(schemaTypes)), Schemas()); diff != "" {
		t.Fatalf("schemas (-loader +schemas):\n%s", diff)
	}
	if _, err := Schema("../catalogue/purposes"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a path: %v", err)
	}
	for _, name := range Schemas() {
		schema := compiledSchema(t, name)
		entry, _ := schema.AdditionalProperties.(*jsonschema.Schema)
		if name == "retention" {
			sameKeys(t, name, schema, reflect.TypeFor[retentionFile]())
			continue
		}
		if name == "personas" {
			sameKeys(t, name, schema, reflect.TypeFor[personaFile]())
			entry, _ = schema.Properties["labels"].AdditionalProperties.(*jsonschema.Schema)
		}
		if entry == nil {
			t.Errorf("%s: no schema for an entry", name)
			continue
		}
		sameKeys(t, name, entry, schemaTypes[name])
	}
}

func sameKeys(t *testing.T, where string, schema *jsonschema.Schema, want reflect.Type) {
	t.Helper()
	for schema.Ref != nil {
		schema = schema.Ref
	}
	for want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	kind := ""
	if schema.Types != nil {
		kind = strings.Join(schema.Types.ToStrings(), " ")
	} else if schema.Enum != nil {
		kind = "string"
	}
	_, isText := reflect.New(want).Interface().(interface{ UnmarshalText([]byte) error })
	_, isYAML := reflect.New(want).Interface().(yaml.Unmarshaler)
	switch {
	case isText || isYAML || want.Kind() == reflect.String:
		if kind != "string" {
			t.Errorf("%s is %q in the schema and a text for the loader", where, kind)
		}
	case want.Kind() == reflect.Struct:
		var keys []string
		for field := range want.Fields() {
			key := field.Tag.Get("yaml")
			if key == "-" || key == "" {
				continue
			}
			keys = append(keys, key)
			if property := schema.Properties[key]; property == nil {
				t.Errorf("%s: the schema has no %q", where, key)
			} else {
				sameKeys(t, where+"/"+key, property, field.Type)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(schema.Properties)) {
			if !slices.Contains(keys, key) {
				t.Errorf("%s: the loader has no %q", where, key)
			}
		}
		if schema.AdditionalProperties != false {
			t.Errorf("%s admits keys that the loader refuses", where)
		}
	case want.Kind() == reflect.Map:
		value, ok := schema.AdditionalProperties.(*jsonschema.Schema)
		if !ok || kind != "object" {
			t.Errorf("%s: the schema does not say what the values are", where)
			return
		}
		sameKeys(t, where+"/*", value, want.Elem())
	case want.Kind() == reflect.Slice:
		items, ok := schema.Items2020, schema.Items2020 != nil
		if !ok || kind != "array" {
			t.Errorf("%s: the schema does not say what the items are", where)
			return
		}
		sameKeys(t, where+"/*", items, want.Elem())
	case want.Kind() == reflect.Bool && kind != "boolean", want.Kind() == reflect.Int && kind != "integer":
		t.Errorf("%s is %q in the schema and %s for the loader", where, kind, want.Kind())
	}
}

// mutant is one catalogue file with one change.
type mutant struct{ what, text string }

// mutants changes each kind of place of a file once: an unknown key in each mapping,
// another kind of value, a value out of nowhere, nothing at all.
func mutants(t *testing.T, text []byte) []mutant {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var out []mutant
	seen := map[string]bool{}
	write := func(what string) {
		changed, err := yaml.Marshal(&document)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, mutant{what, string(changed)})
	}
	var walk func(node *yaml.Node, depth int, place string)
	walk = func(node *yaml.Node, depth int, place string) {
		first := !seen[place]
		seen[place] = true
		if first {
			kept := *node
			for _, other := range []struct {
				what  string
				value yaml.Node
			}{
				{"a list", yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "x"}}}},
				{"a mapping", yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "x"}, {Kind: yaml.ScalarNode, Value: "y"}}}},
				{"nonsense", yaml.Node{Kind: yaml.ScalarNode, Value: "no such thing", Tag: "!!str"}},
				{"a number", yaml.Node{Kind: yaml.ScalarNode, Value: "-7", Tag: "!!int"}},
			} {
				*node = other.value
				write(place + " is " + other.what)
				*node = kept
			}
			if node.Kind == yaml.MappingNode {
				node.Content = append(slices.Clone(kept.Content), &yaml.Node{Kind: yaml.ScalarNode, Value: "surprise"}, &yaml.Node{Kind: yaml.ScalarNode, Value: "x"})
				write(place + " has an unknown key")
				*node = kept
			}
		}
		switch node.Kind {
		case yaml.DocumentNode:
			walk(node.Content[0], depth, place)
		case yaml.MappingNode:
			for i := 0; i+1 < len(node.Content); i += 2 {
				key := node.Content[i].Value
				if depth == 0 || place == "/labels" || slices.ContainsFunc([]string{"/periods", "/exceptions", "/records", "/purposes", "/bases", "/categories", "/attributes", "/thresholds", "/groups", "/map", "/features"}, func(end string) bool { return strings.HasSuffix(place, end) }) {
					key = "*"
				}
				walk(node.Content[i+1], depth+1, place+"/"+key)
			}
		case yaml.SequenceNode:
			for _, item := range node.Content {
				walk(item, depth+1, place+"/*")
			}
		}
	}
	walk(document.Content[0], 0, "")
	return out
}

// Whatever a schema refuses the loader refuses, with file and line, and the shipped files
// pass both. Of some 900 mutants one in seven is tried.
func TestSchemasAgreeWithTheLoader(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("nothing here is done at the same time; it runs without the race detector")
	}
	var made, bySchema, byLoader int
	for _, name := range Schemas() {
		schema := compiledSchema(t, name)
		file := "catalogue/" + name + ".yaml"
		text, err := fs.ReadFile(Bundle(), file)
		if err != nil {
			t.Fatal(err)
		}
		refuses := func(text []byte) error {
			var document yaml.Node
			if err := yaml.Unmarshal(text, &document); err != nil {
				return err
			}
			return schema.Validate(plainValue(&document))
		}
		if err := refuses(text); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for i, m := range mutants(t, text) {
			if i%7 != 0 || testing.Short() && i%21 != 0 {
				continue
			}
			made++
			schemaSays := refuses([]byte(m.text))
			_, loaderSays := LoadCatalogue(bundleWith(t, name, m.text), "catalogue")
			if schemaSays != nil {
				bySchema++
			}
			if loaderSays != nil {
				byLoader++
			}
			if schemaSays != nil && loaderSays == nil && !(strings.HasSuffix(m.what, "a number") && strings.Contains(schemaSays.Error(), "got number, want string")) {
				// A number where a text belongs is a text for YAML.
				t.Errorf("%s: %s: only the schema refuses it: %s", file, m.what, oneLine(schemaSays))
			}
			if loaderSays != nil && (!errors.Is(loaderSays, privacy.ErrInvalid) || !namesALine(loaderSays)) {
				t.Errorf("%s: %s: the complaint has no file and line: %s", file, m.what, oneLine(loaderSays))
			}
		}
	}
	t.Logf("%d mutants: %d refused by a schema, %d by the loader", made, bySchema, byLoader)
	if bySchema*3 < made {
		t.Errorf("the schemas refuse %d of %d mutants", bySchema, made)
	}
}

// bundleWith returns the shipped catalogue with another text of one file.
func bundleWith(t *testing.T, name, text string) fs.FS {
	t.Helper()
	bundle := fstest.MapFS{}
	for _, other := range Schemas() {
		content, err := fs.ReadFile(Bundle(), "catalogue/"+other+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		bundle["catalogue/"+other+".yaml"] = &fstest.MapFile{Data: content}
	}
	bundle["catalogue/"+name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	return bundle
}

// namesALine reports whether each line of a complaint names file and line.
func namesALine(err error) bool {
	for line := range strings.SplitSeq(err.Error(), "\n") {
		var n int
		_, after, ok := strings.Cut(line, ".yaml:")
		if !ok {
			return false
		}
		if _, err := fmt.Sscanf(after, "%d:", &n); err != nil || n < 1 {
			return false
		}
	}
	return true
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " / ") }

// A reference to what is not there, and a word that does not exist, are refused with the
// file and the very line.
func TestComplaintsNameTheLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ file, old, changed, want string }{
		{"purposes", "categories: {contact: withheld}", "categories: {contacts: withheld}", `unknown category "contacts"`},
		{"purposes", "attributes: {first_name: exact, salutation: exact, language: exact}", "attributes: {forename: exact}", `unknown attribute "forename"`},
		{"purposes", "attributes: {first_name: exact, salutation: exact, language: exact}", "audience_minimum: 19", "want no fewer people than share a persona label"},
		{"purposes", "categories: {contact: withheld}", "categories: {contact: secret}", "want exact, generalized, persona or withheld"},
		{"purposes", "channels: [web, app, email, sms, push, call, postal]", "channels: [web, pigeon]", `unknown channel "pigeon"`},
		{"purposes", "bases: {contract: exact, consent: exact}", "bases: {habit: exact}", `"habit" is none of`},
		{"purposes", "ages: [child, youth, adult, unknown]", "ages: [child, elder]", `"elder" is none of`},
		{"purposes", "trigger_window: 24h", "trigger_window: tomorrow", "want a positive duration"},
		{"purposes", "obligations: [easy_opt_out]", "obligations: [hurry]", `unknown obligation "hurry"`},
		{"purposes", "stale_notice: keep", "stale_notice: perhaps", `"perhaps" is none of`},
		{"purposes", "signals: {tcf: [6]", "signals: {tcf: [12]", "want purposes of the framework, 1 to 11"},
		{"purposes", "signals: {tcf: [6]", "signals: {tcf: [6, 6]", "one is named twice"},
		{"purposes", "signals: {tcf: [6]", "signals: {gpp: [Sale]", `"Sale" is none of`},
		{"purposes", "signals: {tcf: [8, 9], consent_mode: [analytics_storage]}", "signals: {consent_mode: [storage]}", `"storage" is none of`},
		{"purposes", "obligations: [disclose_personalized_price]", "stale_notice: keep", "explicit consent is to a wording"},
		{"purposes", "marketing: true", "marketting: true", `unknown key "marketting"`},
		{"recipients", "purposes: [newsletter, email_triggers, greeting, service_messages, family_events]", "purposes: [newsletter, spying]", `unknown purpose "spying"`},
		{"recipients", "references: [customer_number, email, phone]", "references: [fingerprint]", `unknown identifier kind "fingerprint"`},
		{"recipients", "relationship: third_party", "relationship: friend", `"friend" is none of`},
		{"attributes", "category: demographics", "category: demography", `unknown category "demography"`},
		{"attributes", "generalize: {function: attribute, attribute: location.city}", "generalize: {function: attribute, attribute: location.town}", `unknown attribute "location.town"`},
		{"categories", "explicit_in: [EU, CZ, DE, FR, TR, UK, US-CA, BR]", "explicit_in: [EU, XX]", `unknown jurisdiction "XX"`},
		{"categories", "obligations: [case_only]", "obligations: [case_closed]", `unknown obligation "case_closed"`},
		{"channels", "obligations: [closed_envelope]", "obligations: [open_envelope]", `unknown obligation "open_envelope"`},
		{"channels", "discloses_to: household", "discloses_to: neighbours", `"neighbours" is none of`},
		{"inferences", "category: health", "category: wellness", `unknown category "wellness"`},
		{"inferences", "    apparel.maternity: 100", "    apparel.mother: 100", `unknown product group "apparel.mother"`},
		{"inferences", "{attribute: social.interests, value: pride, weight: 100}", "{attribute: social.media, value: pride, weight: 100}", `unknown attribute "social.media"`},
		{"inferences", "thresholds: {default: 100, DE: 90, TR: 80}", "thresholds: {default: 100, XX: 90}", `unknown jurisdiction "XX"`},
		{"product_groups", "  parent: fresh", "  parent: frisch", `unknown product group "frisch"`},
		{"product_groups", "    en: [drugstore]", "    en: [diapers]", `means "baby.diapers" already`},
		{"personas", "    features: {pets: 5}", "    features: {dragons: 5}", `unknown product group "dragons"`},
		{"jurisdictions", "countries: [GB]", "countries: [FR]", `belongs to "FR" already`},
		{"jurisdictions", "countries: [GB]", "countries: [England]", "no country code"},
		{"jurisdictions", "from: 2016-04-07", "from: April 2016", "want a day as YYYY-MM-DD"},
		{"obligations", "laws: [GDPR-28-2, KVKK-8]", "laws: {GDPR: 28}", "a value of another kind belongs here, not !!map"},
	} {
		text, err := fs.ReadFile(Bundle(), "catalogue/"+test.file+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		before, after, ok := strings.Cut(string(text), test.old)
		if !ok {
			t.Errorf("%s has no %q any more", test.file, test.old)
			continue
		}
		at := fmt.Sprintf("%s.yaml:%d: ", test.file, strings.Count(before, "\n")+1)
		_, err = LoadCatalogue(bundleWith(t, test.file, before+test.changed+after), "catalogue")
		if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), at) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s… %s", test.changed, err, at, test.want)
		}
	}
}
