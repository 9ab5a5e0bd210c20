package policies_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestAudienceColumns: what the bundled catalogue declares points to no inference, and a
// column that would is refused with its line.
func TestAudienceColumns(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	columns := c.AudienceAttributes()
	for _, want := range []privacy.AttributeName{"loyalty_tier", "persona", "location.region", "age_band"} {
		if !slices.Contains(columns, want) {
			t.Errorf("%s is no column", want)
		}
	}
	for _, inference := range c.Inferences() {
		for _, signal := range inference.Attributes {
			if slices.Contains(columns, signal.Attribute) {
				t.Errorf("%s is a column and points to %s", signal.Attribute, inference.ID)
			}
		}
	}
	band, _ := c.Attribute("age_band")
	for _, test := range []struct {
		level policies.Level
		word  string
		want  bool
	}{
		{policies.Exact, "25-34", true},
		{policies.Exact, "19-34", false},
		{policies.Generalized, "19-34", true},
		{policies.Generalized, "25-34", false},
		{policies.Exact, "", false},
		{policies.Withheld, "nonsense", false},
	} {
		if got := band.AudienceWord(test.level, test.word); got != test.want {
			t.Errorf("%q at level %s: %t, want %t", test.word, test.level, got, test.want)
		}
	}
	city, _ := c.Attribute("location.city")
	if !city.AudienceWord(policies.Exact, "İzmir") || city.AudienceWord(policies.Exact, strings.Repeat("x", 129)) {
		t.Error("an open column takes any word of at most 128 bytes")
	}
	if name, _ := c.Attribute("first_name"); name.AudienceWord(policies.Exact, "Ayşe") {
		t.Error("what is not declared is no column")
	}
}

func TestAudienceColumnsAreRefused(t *testing.T) {
	t.Parallel()
	const tier = "audience: {words: [bronze, silver, gold, platinum]}"
	for name, test := range map[string]struct{ old, replacement, want string }{
		"points to an inference":        {"marital_status:\n", "marital_status:\n  audience: {words: [Single, Widowed]}\n", `points to "bereavement"`},
		"words and a coarser attribute": {"generalize: {function: year}\n", "generalize: {function: attribute, attribute: loyalty_tier}\n  audience: {words: [a]}\n", "words go with the function map"},
		"special category":              {"category: demographics\n  source: declared\n  audience", "category: health\n  source: declared\n  audience", "is not one to form audiences by"},
		"explicit in places":            {"category: demographics\n  source: declared\n  audience", "category: finances\n  source: declared\n  audience", "is not one to form audiences by"},
		"derived":                       {"derived: purchases.frequency\n", "derived: purchases.frequency\n  audience: {open: true}\n", "no one stored value"},
		"list":                          {"preferences.brands:\n", "preferences.brands:\n  audience: {open: true}\n", "no one stored value"},
		"precise":                       {"  precise: true\n", "  precise: true\n  audience: {open: true}\n", "no one stored value"},
		"neither words nor open":        {tier, "audience: {}", "either words or open"},
		"both":                          {tier, "audience: {words: [gold], open: true}", "either words or open"},
		"a word twice":                  {tier, "audience: {words: [gold, gold]}", "different words"},
		"unknown key of a column":       {tier, "audience: {word: [gold]}", `unknown key "word"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policies.LoadCatalogue(patched(t, "catalogue/attributes.yaml", test.old, test.replacement), "catalogue")
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "attributes.yaml:") {
				t.Errorf("error %v, want one with a line that says %q", err, test.want)
			}
		})
	}
}
