package retention_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// tags hashes without keys.
type tags struct{}

func (tags) WordTag(words ...string) (tag [16]byte) {
	copy(tag[:], fmt.Sprint(words))
	return tag
}

func shipped(t testing.TB) func() *policies.Catalogue {
	t.Helper()
	c, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return func() *policies.Catalogue { return c }
}

func day(text string) time.Time {
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return at
}

func field(values ...string) vault.Field {
	f := vault.Field{Source: vault.Declared, Quality: vault.Verified}
	for _, v := range values {
		f.Values = append(f.Values, privacy.NewPlain(v))
	}
	return f
}

// shopper has bought in three years, viewed, and told a name and an illness.
func shopper(jurisdiction privacy.Jurisdiction, holds ...dsar.HoldOn) dsar.WithholdInput {
	streams := map[privacy.DataCategory][][]vault.Event{
		"purchases": {
			{{Type: "purchase", At: day("2024-05-05")}, {Type: "coupon_redeemed", At: day("2025-05-05")}, {Type: "purchase", At: day("2025-06-06")}},
			{{Type: "purchase", At: day("2010-01-01")}, {Type: "purchase", At: day("2024-02-02")}},
		},
		"views": {{{Type: "view", At: day("2026-01-01")}}},
	}
	return dsar.WithholdInput{
		Jurisdiction: jurisdiction, At: day("2026-03-01"), Holds: holds,
		Records: map[privacy.DataCategory]vault.Record{
			"contact": {"first_name": field("Ayşe"), "last_name": field("Yılmaz"), "email": field("a@example.com", "b@example.com")},
			"health":  {"health.allergies": field("nuts", "milk")},
		},
		Streams: []privacy.DataCategory{"purchases", "views"},
		Events: func(_ context.Context, stream privacy.DataCategory, yield func([]vault.Event) error) error {
			for _, chunk := range streams[stream] {
				if err := yield(chunk); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestWithhold(t *testing.T) {
	t.Parallel()
	w, err := retention.NewWithholder(shipped(t), tags{})
	if err != nil {
		t.Fatal(err)
	}
	line := func(category, attribute, ground, article, until string, items int64) dsar.Withheld {
		h := dsar.Withheld{Category: privacy.DataCategory(category), Attribute: privacy.AttributeName(attribute), Ground: ground, Article: article, Items: items}
		if until != "" {
			h.Until = day(until)
		}
		return h
	}
	hold := func(n byte, words ...string) dsar.HoldOn {
		return dsar.HoldOn{Hold: [16]byte{n}, Scope: tags{}.WordTag(append([]string{"hold"}, words...)...)}
	}
	const obliged = "legal_obligation"
	for name, test := range map[string]struct {
		input dsar.WithholdInput
		want  []dsar.Withheld
	}{
		"Turkey: purchases of each year, and the name on the invoice": {shopper("TR"), []dsar.Withheld{
			line("contact", "first_name", obliged, "TR-6102-82", "2036-01-01", 1),
			line("contact", "last_name", obliged, "TR-6102-82", "2036-01-01", 1),
			line("purchases", "", obliged, "TR-6102-82", "2035-01-01", 2),
			line("purchases", "", obliged, "TR-6102-82", "2036-01-01", 1),
		}},
		"California: the sales without the name": {shopper("US-CA"), []dsar.Withheld{
			line("purchases", "", obliged, "US-CA-18CCR-1698", "2028-03-01", 1),
			line("purchases", "", obliged, "US-CA-18CCR-1698", "2028-06-01", 1),
			line("purchases", "", obliged, "US-CA-18CCR-1698", "2029-07-01", 1),
		}},
		"a member state without exceptions":            {shopper("SK"), []dsar.Withheld{}},
		"a country that no law of the catalogue rules": {shopper("XX"), []dsar.Withheld{}},
		"a hold on one attribute": {shopper("SK", hold(1, "contact", "email")), []dsar.Withheld{
			line("contact", "email", "legal_hold", "GDPR-17-3-e", "", 2),
		}},
		"a hold on a category with events": {shopper("SK", hold(1, "purchases")), []dsar.Withheld{
			line("purchases", "", "legal_hold", "GDPR-17-3-e", "", 5),
		}},
		"a hold on a category of attributes": {shopper("TR", hold(1, "health")), []dsar.Withheld{
			line("contact", "first_name", obliged, "TR-6102-82", "2036-01-01", 1),
			line("contact", "last_name", obliged, "TR-6102-82", "2036-01-01", 1),
			line("health", "", "legal_hold", "KVKK-5-2-e", "", 2),
			line("purchases", "", obliged, "TR-6102-82", "2035-01-01", 2),
			line("purchases", "", obliged, "TR-6102-82", "2036-01-01", 1),
		}},
		"a hold on a word that nobody knows any more keeps everything": {shopper("SK", hold(1, "forgotten")), []dsar.Withheld{
			line("contact", "", "legal_hold", "GDPR-17-3-e", "", 4),
			line("health", "", "legal_hold", "GDPR-17-3-e", "", 2),
			line("purchases", "", "legal_hold", "GDPR-17-3-e", "", 5),
			line("views", "", "legal_hold", "GDPR-17-3-e", "", 1),
		}},
	} {
		for range 3 { // the same each time
			kept, err := w.Withhold(t.Context(), test.input)
			if err != nil {
				t.Fatal(err)
			}
			got := []dsar.Withheld{}
			for _, k := range kept {
				got = append(got, k.Withheld)
				if (k.Hold == [16]byte{}) == k.Until.IsZero() {
					t.Errorf("%s: %s has no end", name, k.Category)
				}
				if k.Attribute != "" && len(k.Record) != 1 {
					t.Errorf("%s: %d attributes are kept for one", name, len(k.Record))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
	}
	// What nobody bought needs no name beside it.
	none := shopper("TR")
	none.Streams = nil
	if kept, err := w.Withhold(t.Context(), none); err != nil || len(kept) != 0 {
		t.Errorf("without purchases %d things are kept, %v", len(kept), err)
	}
	broken := shopper("TR")
	broken.Events = func(context.Context, privacy.DataCategory, func([]vault.Event) error) error {
		return privacy.ErrDamaged
	}
	if kept, err := w.Withhold(t.Context(), broken); !errors.Is(err, privacy.ErrDamaged) || kept != nil {
		t.Errorf("events that do not open: %v", err)
	}
	if _, err := retention.NewWithholder(nil, tags{}); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("without catalogue: %v", err)
	}
}

func ExampleWithholder() {
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		fmt.Println(err)
		return
	}
	w, err := retention.NewWithholder(func() *policies.Catalogue { return catalogue }, tags{})
	if err != nil {
		fmt.Println(err)
		return
	}
	kept, err := w.Withhold(context.Background(), shopper("CZ"))
	for _, k := range kept {
		fmt.Println(k.Category, k.Attribute, k.Article, k.Until.Year(), k.Items)
	}
	fmt.Println(err)
	// Output:
	// contact first_name CZ-235-2004-35 2036 1
	// contact last_name CZ-235-2004-35 2036 1
	// purchases  CZ-235-2004-35 2035 2
	// purchases  CZ-235-2004-35 2036 1
	// <nil>
}
