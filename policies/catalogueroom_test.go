package policies

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestStandingOfWords(t *testing.T) {
	t.Parallel()
	catalogue, err := LoadCatalogue(Bundle(), catalogueDir)
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[string]WordStanding{
		"grocery.dairy": WordHarmless, "APPLES": WordHarmless, "other": WordHarmless,
		"health.pregnancy_test": WordProtected, "PREGNANCY TEST KITS": WordProtected,
		"HOME HEALTH CARE": WordProtected, "pregnancy test": WordProtected, "Gebelik testi 2'li": WordProtected,
		"těhotenský test": WordProtected, "baby.diapers": WordProtected, "alcohol.wine": WordProtected,
		// Weak signals count: a room answers conjunctions.
		"beauty.body_lotion": WordProtected, "health.vitamins": WordProtected, "seasonal.christmas": WordProtected,
		// What else is in a text does not hide it, though it may say more.
		"soft drinks and wine": WordProtected, "wine, discount": WordProtected,
		// What terms find is never harmless.
		"strawberries": WordUnknown, "gold": WordUnknown, "": WordUnknown, "campaign 18": WordUnknown,
	} {
		if got := catalogue.StandingOf(word); got != want || catalogue.Protects(word) != (want == WordProtected) {
			t.Errorf("%q is %s, want %s", word, got, want)
		}
	}
	for _, group := range catalogue.Groups() {
		harmless := !group.Tainted && len(group.Weights) == 0
		for _, word := range append([]string{string(group.ID)}, group.Retail.Types...) {
			if got := catalogue.StandingOf(word); (got == WordHarmless) && !harmless || got == WordUnknown {
				t.Errorf("%q of %s is %s", word, group.ID, got)
			}
		}
	}
}

func TestNamesOfTaintedGroups(t *testing.T) {
	t.Parallel()
	catalogue, err := LoadCatalogue(Bundle(), catalogueDir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"pregnancy_test": true, "bought_pregnancy_tests": true, "gebelik_testi": true, "tehotensky_test": true, "wine_spend": true,
		"discount_wine": true, "body_lotion_and_wine": true, "soft_drinks_wine": true, "health": true,
		"product_group": false, "spend_minor": false, "day": false, "tier": false, "discount": false, "visits": false, "": false,
	} {
		if got := catalogue.NamesTainted(name); got != want {
			t.Errorf("%q names something tainted: %t", name, got)
		}
	}
}

func TestRoomPurposesAreChecked(t *testing.T) {
	t.Parallel()
	const line = "room: {categories: [core, purchases, views, engagement, preferences, profile]}"
	for _, c := range []struct{ name, room, complaint string }{
		{"special", "room: {categories: [purchases, health]}", `category "health" is not one to measure`},
		{"of a case", "room: {categories: [conversations]}", `category "conversations" is not one to measure`},
		{"unknown", "room: {categories: [dreams]}", `unknown category "dreams"`},
		{"twice", "room: {categories: [purchases, purchases]}", `category "purchases" is there twice`},
		{"none", "room: {categories: []}", "want the data categories"},
		{"another key", "room: {category: purchases}", `unknown key "category"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			bundle := fstest.MapFS{}
			files, err := fs.Glob(Bundle(), catalogueDir+"/*.yaml")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				data, err := fs.ReadFile(Bundle(), name)
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(name, filePurposes) {
					changed := strings.Replace(string(data), line, c.room, 1)
					if changed == string(data) {
						t.Fatal("the line of segmentation is written in another way")
					}
					data = []byte(changed)
				}
				bundle[name] = &fstest.MapFile{Data: data}
			}
			_, err = LoadCatalogue(bundle, catalogueDir)
			if err == nil || !strings.Contains(err.Error(), c.complaint) {
				t.Errorf("error %v, want one that says %q", err, c.complaint)
			}
		})
	}
}

func ExampleCatalogue_StandingOf() {
	catalogue, err := LoadCatalogue(Bundle(), catalogueDir)
	fmt.Println(catalogue.StandingOf("grocery.dairy"), catalogue.StandingOf("PREGNANCY TEST KITS"), catalogue.StandingOf("row 7"), err)
	// Output: harmless protected unknown <nil>
}
