package policies_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/mahrem/mahrem/policies"
)

func TestGroupByTerm(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for text, want := range map[string]policies.GroupID{
		"Pregnancy Test, 2 pcs":               "health.pregnancy_test",
		"GEBELİK TESTİ 2'li":                  "health.pregnancy_test",
		"GEBELIK TESTI 2'LI":                  "health.pregnancy_test",
		"gebelik testi":                       "health.pregnancy_test",
		"Těhotenský test 2 ks":                "health.pregnancy_test",
		"TEHOTENSKY TEST":                     "health.pregnancy_test",
		"Te\u030chotensky\u0301 test":         "health.pregnancy_test", // marks of their own
		"Bebek Bezi 4 Numara":                 "baby.diapers",
		"Yetişkin bezi, büyük boy":            "health.incontinence",
		"Plenky pro dospělé":                  "health.incontinence",
		"Pampers plenky vel. 4":               "baby.diapers",
		"Organic baby carrots 500 g":          "fresh.vegetables",
		"Rice puffs for babies":               "baby", // what reveals stands for the whole
		"Oyuncak bebek":                       "toys",
		"IŞIKLI KAHVE MAKİNESİ":               "beverages.coffee_tea",
		"Červené víno suché 0,75 l":           "alcohol.wine",
		"White wine vinegar":                  "alcohol.wine", // two words of two terms: the longer
		"Wine vinegar":                        "grocery.pantry",
		"Root beer 0.5 l":                     "beverages.soft_drinks",
		"Kutsal Kitap: İncil":                 "media.religion",
		"Duhová vlajka 90x150":                "media.lgbt",
		"Sendika aidatı":                      "media.union",
		"Nebankovní půjčka ihned":             "loans",
		"Taziye kartı":                        "stationery.sympathy",
		"Unscented body lotion 200 ml":        "beauty.unscented_lotion",
		"Body lotion 200 ml":                  "beauty.body_lotion",
		"Şampuan":                             "beauty.hair",
		"no such thing":                       "",
		"":                                    "",
		"—":                                   "",
		strings.Repeat("x ", 512) + " diaper": "", // behind the end of what is read
	} {
		got, ok := c.GroupByTerm(text)
		if got != want || ok != (want != "") {
			t.Errorf("%.40q is %q, want %q", text, got, want)
		}
	}
}

// Every term finds its own group, shouted, whispered and without accents, too.
func TestEveryTermFindsItsGroup(t *testing.T) {
	t.Parallel()
	c, terms := catalogue(t), 0
	for _, g := range c.Groups() {
		for _, language := range policies.Languages() {
			if len(g.Terms.In(language)) == 0 {
				t.Errorf("%s has no term in %s", g.ID, language)
			}
			for _, text := range g.Terms.In(language) {
				terms++
				upper := strings.ToUpper(text)
				if language == "tr" {
					upper = strings.ToUpperSpecial(unicode.TurkishCase, text)
				}
				for _, form := range []string{text, upper, strings.ToUpper(text), "-- " + text + "!"} {
					if got, _ := c.GroupByTerm(form); got != g.ID {
						t.Errorf("%q finds %q, want %q", form, got, g.ID)
					}
				}
			}
		}
	}
	if terms < 1000 {
		t.Errorf("only %d terms", terms)
	}
}

func FuzzGroupByTerm(f *testing.F) {
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"Bebek bezi", "GEBELİK TESTİ", "plenky pro dospělé", "\xff\xfe", "i\u0307", strings.Repeat("ı", 2000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := c.GroupByTerm(text)
		if _, known := c.Group(id); ok != known {
			t.Fatalf("%q is %q, %v", text, id, ok)
		}
		if len(text) <= 512 {
			if again, _ := c.GroupByTerm(" (" + text + ") "); again != id {
				t.Fatalf("%q is %q, and %q in brackets", text, id, again)
			}
		}
	})
}
