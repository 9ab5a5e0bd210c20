package policies_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func catalogue(t *testing.T) *policies.Catalogue {
	t.Helper()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProductGroup(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for _, test := range []struct {
		department, category, productType string
		want                              policies.GroupID
	}{
		{"DRUG GM", "FAMILY PLANNING", "PREGNANCY TEST KITS", "health.pregnancy_test"},
		{"DRUG GM", "HOME HEALTH CARE", "PREGNANCY TEST KITS", "health.pregnancy_test"},
		{"DRUG GM", "FAMILY PLANNING", "PROPHYLACTICS", "health.contraception"},
		{"DRUG GM", "DIAPERS & DISPOSABLES", "BABY DIAPERS", "baby.diapers"},
		{"DRUG GM", "BABY HBC", "COTTON COTTON SWABS", "baby.care"},
		{"DRUG GM", "ETHNIC PERSONAL CARE", "HAND AND BODY LOTIONS", "beauty.ethnic"},
		{"DRUG GM", "FIRST AID PRODUCTS", "FIRSTAID TAPES/COTTON/GLOVES", "beauty.cotton"},
		{"DRUG GM", "CHRISTMAS  SEASONAL", "DECOR", "seasonal.christmas"},
		{"DRUG GM", "CHRISTMAS SEASONAL", "DECOR", "drugstore"},
		{"GROCERY", "CONDIMENTS/SAUCES", "COOKING WINES", "grocery.pantry"},
		{"GROCERY", "DOMESTIC WINE", "BOX WINES", "alcohol.wine"},
		{"GROCERY", "SOMETHING NEW", "", "grocery"},
		{"", "", "", policies.OtherGroup},
	} {
		if got := c.ProductGroup(test.department, test.category, test.productType); got != test.want {
			t.Errorf("%q > %q > %q is %q, want %q", test.department, test.category, test.productType, got, test.want)
		}
	}
}

func TestGeneralizeGroupGivesNothingAway(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	for id, want := range map[policies.GroupID]policies.GroupID{
		"grocery.dairy": "grocery", "grocery": "grocery", "beauty.unscented_lotion": "beauty",
		"health.pregnancy_test": "", "baby.diapers": "", "alcohol.beer": "", "toys": "", "no.such": "",
	} {
		got, ok := c.GeneralizeGroup(id)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%s generalizes to %q, %v, want %q", id, got, ok, want)
		}
	}
	for _, group := range c.Groups() {
		if up, ok := c.GeneralizeGroup(group.ID); ok && len(c.GroupWeights(up)) > 0 {
			t.Errorf("%s generalizes to %s, which gives something away", group.ID, up)
		}
	}
	for _, id := range c.Fillers() {
		if len(c.GroupWeights(id)) > 0 {
			t.Errorf("filler %s gives something away", id)
		}
	}
}

// TestWeakSignalsAddUp: lotion, cotton and zinc are harmless one by one and tell a
// pregnancy together.
func TestWeakSignalsAddUp(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	pregnancy, ok := c.Inference("pregnancy")
	if !ok {
		t.Fatal("no inference pregnancy")
	}
	for _, j := range append(c.Jurisdictions(), "unknown") {
		sum, threshold := 0, pregnancy.Threshold(j)
		for _, id := range []policies.GroupID{"beauty.unscented_lotion", "beauty.cotton", "health.minerals"} {
			for _, weight := range c.ValueWeights("purchases.product_groups", string(id)) {
				if weight.Inference == pregnancy {
					sum += weight.Weight
					if weight.Weight >= threshold {
						t.Errorf("%s alone tells a pregnancy under %s", id, j)
					}
				}
			}
		}
		if sum < threshold {
			t.Errorf("together they weigh %d of %d under %s", sum, threshold, j)
		}
	}
}

func TestAgeGroup(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		jurisdiction privacy.Jurisdiction
		born         string
		want         policies.AgeGroup
	}{
		{"CZ", "2011-03-01", policies.Youth},
		{"CZ", "2011-03-02", policies.Child},
		{"EU", "2011-03-01", policies.Child},
		{"TR", "2009-01-01", policies.Child},
		{"US-CA", "2013-03-01", policies.Youth},
		{"CZ", "2008-03-01", policies.Adult},
		{"CZ", "2008-03-02", policies.Youth},
		{"CZ", "2008-02-29", policies.Adult},
		{"CZ", "", policies.AgeUnknown},
		{"CZ", "1.3.2008", policies.AgeUnknown},
		{"CZ", "2027-01-01", policies.AgeUnknown},
		{"CZ", "1880-01-01", policies.AgeUnknown},
		{"XX", "1980-01-01", policies.AgeUnknown},
	} {
		if got := c.AgeGroup(test.jurisdiction, test.born, at); got != test.want {
			t.Errorf("born %s under %s: %s, want %s", test.born, test.jurisdiction, got, test.want)
		}
	}
	if age, _ := policies.AgeOn("2008-03-01", at.Add(-time.Minute)); age != 17 {
		t.Errorf("while it is still February 28 somewhere, the age is %d", age)
	}
	for code, want := range map[string]privacy.Jurisdiction{
		"": "EU", "SK": "EU", "CZ": "CZ", "GB": "UK", "US": policies.UnknownJurisdiction, "unknown": policies.UnknownJurisdiction,
	} {
		if got := c.JurisdictionOf(code); got != want {
			t.Errorf("%q is under %q, want %q", code, got, want)
		}
	}
}

func TestPersonaFor(t *testing.T) {
	t.Parallel()
	c := catalogue(t)
	if got, ok := c.PersonaFor([]policies.GroupID{"pets", "pets", "grocery.sweets"}); !ok || got != "pet_friend" {
		t.Errorf("persona %q, %v", got, ok)
	}
	with, _ := c.PersonaFor([]policies.GroupID{"fresh.fruit", "baby.diapers", "health.pregnancy_test"})
	without, _ := c.PersonaFor([]policies.GroupID{"fresh.fruit"})
	if with != without {
		t.Errorf("sensitive purchases change the persona from %q to %q", without, with)
	}
	if _, ok := c.PersonaFor(nil); ok {
		t.Error("a persona out of nothing")
	}
}

// TestRetailWordsAreCovered reads the real product list where it is present. Every product
// has a group, and none leaves a category that reveals something for a group that does not.
func TestRetailWordsAreCovered(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("MAHREM_TEST_JOURNEY")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data", "complete-journey")
	}
	if _, err := os.Stat(filepath.Join(dir, "products.csv.gz")); err != nil {
		t.Skip("the Complete Journey is not here; MAHREM_TEST_JOURNEY says where it is")
	}
	file, err := os.Open(filepath.Join(dir, "products.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(unzipped)
	header, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	department, category, kind := slices.Index(header, "department"), slices.Index(header, "product_category"), slices.Index(header, "product_type")
	c, other, total, escaped := catalogue(t), 0, 0, map[string]bool{}
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		total++
		id := c.ProductGroup(row[department], row[category], row[kind])
		group, _ := c.Group(id)
		if of, _ := c.Group(c.ProductGroup(row[department], row[category], "")); of.Reveals() && !group.Reveals() {
			escaped[row[category]+" > "+row[kind]+" as "+string(id)] = true
		}
		if id == policies.OtherGroup {
			if other++; row[category] != "" {
				t.Errorf("%q > %q is nowhere", row[department], row[category])
			}
		}
	}
	for product := range escaped {
		t.Errorf("%s hides what its category reveals", product)
	}
	t.Logf("%d of %d products have no group", other, total)
}
