package export

import (
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

const schemaFile = "../../docs/spec/export.schema.json"

// TestDataFitsItsSchema holds what is written to what is documented.
func TestDataFitsItsSchema(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("export.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("export.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(data string) error {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(data))
		if err != nil {
			return err
		}
		return schema.Validate(value)
	}
	h := newHouse(t)
	p := ayse(h)
	history(h, p)
	p.stays = []Stay{{Room: "campaign", Purpose: "newsletter", Members: []privacy.RecipientID{"web_shop"}, First: testTime, Last: testTime}}
	empty := h.add(2)
	for _, kind := range []dsar.Kind{dsar.Access, dsar.Portability} {
		for _, person := range []*held{p, empty} {
			job, file := h.job(person, kind)
			if _, err := h.Export(t.Context(), dpo, job); err != nil {
				t.Fatal(err)
			}
			files, _ := h.open(file)
			if err := validate(files[DataName]); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
			for _, field := range []string{`"format"`, `"attributes"`, `"redactions"`} {
				if err := validate(strings.Replace(files[DataName], field, `"other"`, 1)); err == nil {
					t.Errorf("%s: without %s it fits as well", kind, field)
				}
			}
		}
	}
}

// TestEveryActionHasWords: nobody has to read a word of the program, in any language.
func TestEveryActionHasWords(t *testing.T) {
	t.Parallel()
	var keys []string
	for _, action := range []consent.Action{
		consent.Granted, consent.Renewed, consent.Refused, consent.Withdrawn, consent.Expired, consent.Objected,
		consent.GuardianGranted, consent.GuardianWithdrawn,
	} {
		keys = append(keys, "action."+string(action), "kind."+string(action.Kind()))
	}
	for _, actor := range []consent.Actor{consent.ByDataSubject, consent.ByGuardian, consent.ByAgent, consent.ByRegistry, consent.BySystem} {
		keys = append(keys, "actor."+string(actor))
	}
	for _, key := range keys {
		for _, language := range Languages() {
			if say(language, key, "") == "" {
				t.Errorf("%s has no word in %s", key, language)
			}
		}
	}
}
