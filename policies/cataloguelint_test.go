package policies

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

func TestLintCatalogue(t *testing.T) {
	t.Parallel()
	findings, err := LintCatalogue(Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Errorf("the shipped catalogue: %s", f)
	}
	for _, test := range []struct{ file, old, changed, want string }{
		{"purposes", "title: {en: Greeting by name, tr: Adıyla karşılama, cs:", "title: {en: Greeting by name, cs:", `"greeting" has no title in tr`},
		{"personas", "title: {en: Pet friend, tr: Hayvan dostu, cs: Přítel zvířat}", "title: {en: Pet friend, tr: Hayvan dostu}", `"pet_friend" has no title in cs`},
		{"product_groups", "cs: Plenky}\n  parent: baby\n  tainted: true", "cs: Plenky}\n  parent: baby", `"baby.diapers" gives something away by itself and is not tainted`},
		{"product_groups", "    tr: [kırtasiye, büro malzemeleri, defter, kalem]\n", "", `"stationery" has no term in tr`},
		{"inferences", "  groups:\n    media.union: 100\n", "", `no product group points to "union_membership"`},
		{"inferences", "thresholds: {default: 100, DE: 90, TR: 80}", "thresholds: {default: 100, DE: 5000}", `"pregnancy" is never reached`},
		{"recipients", "purposes: [pricing, loyalty]", "purposes: [loyalty]", `no recipient is contracted for "pricing"`},
		{"attributes", "cs: Oděv}\n  category: appearance", "cs: Oděv}\n  category: core", `no attribute is of category "appearance"`},
		{"retention", "cs: Ukončené případy}", "cs: ''}", `"ended_case" has no title in cs`},
		{"retention", "cs: Daňové doklady pro DPH}", "cs: ''}", `"cz_vat" has no title in cs`},
	} {
		text, err := fs.ReadFile(Bundle(), "catalogue/"+test.file+".yaml")
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.Replace(string(text), test.old, test.changed, 1)
		if changed == string(text) {
			t.Errorf("%s has no %q any more", test.file, test.old)
			continue
		}
		findings, err := LintCatalogue(bundleWith(t, test.file, changed), "catalogue")
		if err != nil || len(findings) == 0 {
			t.Errorf("%s: found nothing, %v", test.want, err)
			continue
		}
		found := false
		for _, f := range findings {
			if strings.Contains(f.Message, test.want) {
				found = f.Line > 0 && strings.HasPrefix(f.String(), f.File+":")
			}
		}
		if !found {
			t.Errorf("want %s, got %v", test.want, findings)
		}
	}
	if _, err := LintCatalogue(bundleWith(t, "channels", "{}"), "catalogue"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a catalogue that is refused: %v", err)
	}
}

// TestCatalogueServesOnDayOne: what a company needs on its first day is there.
func TestCatalogueServesOnDayOne(t *testing.T) {
	t.Parallel()
	c, err := LoadCatalogue(Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	for kind, least := range map[string]int{
		"purposes": 15, "categories": 14, "attributes": 60, "inferences": 11, "recipients": 8, "product_groups": 120,
	} {
		if n := len(c.Keys(kind)); n < least {
			t.Errorf("%d %s, want at least %d", n, kind, least)
		}
	}
	for kind, wanted := range map[string]string{
		"channels":      "web app email sms push call postal in_store social support partner",
		"jurisdictions": "EU CZ DE FR TR UK US-CA BR",
		"categories":    "health religion ethnicity politics membership sex_life genetics biometrics criminal appearance location finances children habits bereavement",
		"inferences":    "pregnancy health_condition religion sexual_orientation political_opinion union_membership ethnic_origin addiction financial_distress bereavement being_a_child",
	} {
		for key := range strings.FieldsSeq(wanted) {
			if _, err := c.Entry(kind, key); err != nil {
				t.Error(err)
			}
		}
	}
	for _, id := range strings.Fields("health religion ethnicity politics membership sex_life genetics biometrics criminal appearance") {
		if !c.categories[privacy.DataCategory(id)].Special {
			t.Errorf("%s is not special", id)
		}
	}
	// Each inference has a product group that a shop's words find in three languages, and
	// one with the identifier of a public taxonomy.
	for _, inference := range c.Inferences() {
		named, identified := false, false
		for id, weight := range inference.Groups {
			g := c.groups[id]
			if weight == 0 {
				continue
			}
			named = named || len(g.Terms.EN) > 0 && len(g.Terms.TR) > 0 && len(g.Terms.CS) > 0
			identified = identified || g.Taxonomy != Taxonomy{}
		}
		if !named || !identified {
			t.Errorf("%s: terms in three languages %v, public identifier %v", inference.ID, named, identified)
		}
	}
}

func TestEntryShowsTheFile(t *testing.T) {
	t.Parallel()
	c, err := LoadCatalogue(Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range c.Kinds() {
		for _, key := range c.Keys(kind) {
			if e, err := c.Entry(kind, key); err != nil || e.Key != key || e.Title.EN == "" {
				t.Errorf("%s %s: %v", kind, key, err)
			}
		}
	}
	e, err := c.Entry("product_groups", "health.minerals")
	if err != nil {
		t.Fatal(err)
	}
	if weights, _ := e.Fields["points_to"].(map[string]any); weights["pregnancy"] != 30 || weights["health_condition"] != 25 {
		t.Errorf("minerals point to %v", e.Fields["points_to"])
	}
	if e, _ = c.Entry("attributes", "location.precise"); e.Fields["max_age"] != "1d" {
		t.Errorf("max_age is %v", e.Fields["max_age"])
	}
	if e, _ = c.Entry("purposes", "greeting"); e.Fields["bases"].(map[string]any)["contract"] != "exact" {
		t.Errorf("bases are %v", e.Fields["bases"])
	}
	if _, err := c.Entry("purposes", "spying"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := c.Entry("wishes", "x"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an unknown kind: %v", err)
	}
}
