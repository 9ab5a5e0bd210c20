package draw

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keydir"
)

var shipped = sync.OnceValue(func() *policies.Catalogue {
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		panic(err)
	}
	return catalogue
})

func keys(t testing.TB) *keydir.Keys {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := keydir.Create(dir, keydir.Config{}); err != nil {
		t.Fatal(err)
	}
	k, err := keydir.Open(dir, keydir.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func rules() *Rules {
	catalogue := shipped()
	return &Rules{
		Catalogue: catalogue,
		BirthDate: func(core vault.Record) (string, bool) {
			field, ok := core["birth_date"]
			if !ok {
				return "", false
			}
			return field.Values[0].RevealPersonalData(), true
		},
		Childhood: func(law privacy.Jurisdiction, birth string) consent.Childhood {
			return func(at time.Time) (bool, time.Time) {
				if catalogue.AgeGroup(law, birth, at) != policies.Child {
					return false, time.Time{}
				}
				return true, catalogue.ChildUntil(law, birth, at)
			}
		},
	}
}

func born(day string) vault.Record {
	return vault.Record{"birth_date": {Values: []privacy.Plain{privacy.NewPlain(day)}, Source: vault.Declared, Quality: vault.Verified}}
}

func said(purpose privacy.Purpose, channel privacy.Channel, action consent.Action, daysAgo int, change ...func(*consent.Record)) consent.Record {
	r := consent.Record{
		ID: [16]byte{byte(daysAgo), byte(len(purpose))}, Purpose: purpose, Channel: channel, Action: action, Basis: privacy.Consent,
		NoticeVersion: "1", Actor: consent.ByDataSubject, EffectiveAt: now.AddDate(0, 0, -daysAgo),
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func explicit(r *consent.Record) { r.Explicit = true }

// TestCovers: who is drawn, and each way in which somebody is not.
func TestCovers(t *testing.T) {
	t.Parallel()
	const room privacy.Purpose = "campaign_measurement"
	yes := said(room, "*", consent.Granted, 10)
	person := func(change ...func(*Standing)) Standing {
		s := Standing{Jurisdiction: "DE", Core: born("1980-01-01"), Consents: []consent.Record{yes}}
		for _, c := range change {
			c(&s)
		}
		return s
	}
	with := func(records ...consent.Record) func(*Standing) {
		return func(s *Standing) { s.Consents = records }
	}
	plain := []privacy.DataCategory{"purchases", "engagement"}
	for name, c := range map[string]struct {
		standing   Standing
		purpose    privacy.Purpose
		categories []privacy.DataCategory
		want       bool
	}{
		"granted":                             {person(), room, plain, true},
		"nothing said":                        {person(with()), room, plain, false},
		"withdrawn":                           {person(with(yes, said(room, "*", consent.Withdrawn, 5))), room, plain, false},
		"withdrawn and granted again":         {person(with(said(room, "*", consent.Withdrawn, 15), yes)), room, plain, true},
		"refused on one channel":              {person(with(yes, said(room, "email", consent.Refused, 5))), room, plain, false},
		"objected":                            {person(with(yes, said(room, "*", consent.Objected, 5))), room, plain, false},
		"objected to marketing":               {person(with(yes, said("marketing", "*", consent.Objected, 5))), room, plain, false},
		"objected to marketing on one":        {person(with(yes, said("marketing", "call", consent.Objected, 50))), room, plain, false},
		"something else withdrawn":            {person(with(yes, said("newsletter", "*", consent.Withdrawn, 5))), room, plain, true},
		"reached its end":                     {person(with(said(room, "*", consent.Granted, 10, func(r *consent.Record) { r.ValidUntil = now.AddDate(0, 0, -1) }))), room, plain, false},
		"to a wording out of date":            {person(with(said(room, "*", consent.Granted, 10, func(r *consent.Record) { r.StaleAt = now.AddDate(0, 0, -1) }))), room, plain, false},
		"on another basis":                    {person(with(said(room, "*", consent.Granted, 10, func(r *consent.Record) { r.Basis = privacy.LegitimateInterests }))), room, plain, false},
		"of tomorrow":                         {person(with(said(room, "*", consent.Granted, -1))), room, plain, false},
		"restricted":                          {person(func(s *Standing) { s.Restricted = true }), room, plain, false},
		"a child":                             {person(func(s *Standing) { s.Core = born("2018-01-01") }), room, plain, false},
		"a youth":                             {person(func(s *Standing) { s.Core = born("2009-06-01") }), room, plain, false},
		"of unknown age":                      {person(func(s *Standing) { s.Core = nil }), room, plain, false},
		"under no law that is known":          {person(func(s *Standing) { s.Jurisdiction = "XX" }), room, plain, false},
		"a special category":                  {person(), room, []privacy.DataCategory{"health"}, false},
		"an unknown category":                 {person(), room, []privacy.DataCategory{"horoscope"}, false},
		"a category that asks for more":       {person(), room, []privacy.DataCategory{"finances"}, false},
		"a purpose that asks for more":        {person(with(said("audience_sync", "*", consent.Granted, 10))), "audience_sync", plain, false},
		"an explicit yes to it":               {person(with(said("audience_sync", "*", consent.Granted, 10, explicit))), "audience_sync", plain, true},
		"its channel alone":                   {person(with(said("audience_sync", "partner", consent.Granted, 10, explicit))), "audience_sync", plain, true},
		"a purpose that stands on no consent": {person(with(said("service_messages", "*", consent.Granted, 10))), "service_messages", plain, false},
	} {
		purpose, known := shipped().Purpose(c.purpose)
		if !known {
			t.Fatal(c.purpose)
		}
		if got := rules().Covers(purpose, c.categories, &c.standing, now); got != c.want {
			t.Errorf("%s: drawn %t, want %t", name, got, c.want)
		}
		slices.Reverse(c.standing.Consents)
		if got := rules().Covers(purpose, c.categories, &c.standing, now); got != c.want {
			t.Errorf("%s, the other way round: drawn %t", name, got)
		}
	}
}

func TestBinds(t *testing.T) {
	t.Parallel()
	for pair, want := range map[[2]privacy.Purpose]bool{
		{"marketing", "campaign_measurement"}: true, {"marketing", "gone"}: true,
		{"marketing", "analytics"}: false, {"newsletter", "campaign_measurement"}: false,
	} {
		if got := Binds(shipped(), pair[0], pair[1]); got != want {
			t.Errorf("%v: %t", pair, got)
		}
	}
}

const purchasesMapping = `
version: 1
identifier: {kind: email, attribute: email}
stream: purchases
types: [purchase]
columns:
  group: {field: product_group}
  day: {day: true}
  spend: {field: amount, scale: 100}
  visits: {one: true}
`

func purchasesContract() *cleanroom.Contract {
	return &cleanroom.Contract{
		Owner: "retail_media", Dataset: "purchases", Version: 1, Source: cleanroom.FromHouse,
		Columns: []cleanroom.Column{
			{Name: "group", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases", Domain: []string{"grocery.dairy", "other"}, Other: "other"},
			{Name: "day", Role: cleanroom.Dimension, Type: cleanroom.Day, Category: "purchases", First: "2026-01-01", Last: "2026-12-31"},
			{Name: "spend", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Hi: 10000},
			{Name: "visits", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases", Hi: 10},
		},
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	mapping, err := ParseMapping([]byte(purchasesMapping))
	if err != nil {
		t.Fatal(err)
	}
	if err := mapping.fit(purchasesContract(), shipped()); err != nil {
		t.Fatal(err)
	}
	events := []vault.Event{}
	for _, e := range []struct{ kind, group, amount, day string }{
		{"purchase", "grocery.dairy", "12.50", "2026-01-02"},
		{"purchase", "pharmacy.baby", "0.995", "2026-12-31"}, // becomes other
		{"purchase", "grocery.dairy", "a lot", "2026-01-02"}, // is no number
		{"purchase", "grocery.dairy", "1", "2027-01-01"},     // lies outside the days
		{"view", "grocery.dairy", "1", "2026-01-02"},         // is none of the types
	} {
		at, _ := time.Parse(time.DateOnly, e.day)
		events = append(events, vault.Event{Type: e.kind, At: at, Fields: map[privacy.AttributeName]privacy.Plain{
			"product_group": privacy.NewPlain(e.group), "amount": privacy.NewPlain(e.amount),
		}})
	}
	rows, left := rowsOf(t, mapping, purchasesContract(), events)
	want := []Row{
		{Dimensions: [8]int32{0, 20455}, Measures: [4]int64{1250, 1}},
		{Dimensions: [8]int32{1, 20818}, Measures: [4]int64{100, 1}},
	}
	if !slices.Equal(rows, want) || left != 2 {
		t.Errorf("%v and %d left out, want %v and 2", rows, left, want)
	}
}

// TestRowsHideNothingProtected: what is left over of a column of product groups is nothing that no
// question may name; otherwise it would be that, where all the rest has a word of its own.
func TestRowsHideNothingProtected(t *testing.T) {
	t.Parallel()
	mapping, err := ParseMapping([]byte(purchasesMapping))
	if err != nil {
		t.Fatal(err)
	}
	var events []vault.Event
	for _, group := range []string{"grocery.dairy", "bakery", "health.pregnancy_test", "PREGNANCY TEST KITS", "alcohol.wine", "of no catalogue"} {
		events = append(events, vault.Event{Type: "purchase", At: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), Fields: map[privacy.AttributeName]privacy.Plain{
			"product_group": privacy.NewPlain(group), "amount": privacy.NewPlain("1"),
		}})
	}
	contract := purchasesContract()
	contract.Columns[0].Vocabulary = policies.VocabularyProductGroups
	if rows, left := rowsOf(t, mapping, contract, events); len(rows) != 3 || left != 3 {
		t.Errorf("%d rows and %d left out, want 3 and 3", len(rows), left)
	}
	// Of words that are the owner's own nothing is known.
	contract.Columns[0].Vocabulary = ""
	if rows, left := rowsOf(t, mapping, contract, events); len(rows) != 6 || left != 0 {
		t.Errorf("%d rows and %d left out of a column without a vocabulary", len(rows), left)
	}
}

// rowsOf seals events and makes rows of them.
func rowsOf(t *testing.T, mapping *Mapping, contract *cleanroom.Contract, events []vault.Event) ([]Row, int) {
	t.Helper()
	v := keys(t).Vault()
	key, _, err := v.NewPersonKey(privacy.DataSubjectID{1})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.SealChunk("purchases", 0, 1, events)
	if err != nil {
		t.Fatal(err)
	}
	views, err := key.OpenChunkViews(nil, "purchases", 0, 1, sealed)
	if err != nil {
		t.Fatal(err)
	}
	e := encoder{mapping, contract, shipped().Protects}
	return e.rows(func(privacy.AttributeName) string { return "" }, views)
}

func TestScaled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"12.5": "1250", "0.005": "1", "-0.005": "-1", "0.0049": "0", "7": "700", "": "", "1e9": "", "1/3": "", "0x1": "", " 1": "", ".5": "50",
		"99999999999999999999": "",
	} {
		if got, ok := scaled(text, 100); got != want || ok != (want != "") {
			t.Errorf("%q: %q %t, want %q", text, got, ok, want)
		}
	}
}

func TestMappingRefuses(t *testing.T) {
	t.Parallel()
	for change, pointer := range map[string]string{
		"version: 1|version: 2":                        "/version",
		"kind: email|kind: cookie_id":                  "/identifier/kind",
		"attribute: email|attribute: ''":               "/identifier/attribute",
		"types: [purchase]|types: []":                  "/types",
		"{day: true}|{day: true, one: true}":           "/columns/day",
		"{day: true}|{}":                               "/columns/day",
		"scale: 100|scale: -1":                         "/columns/spend/scale",
		"version: 1|version: 1\nmore: 1":               "",
		"version: 1|version: 1\n---\nversion: 1":       "",
		"stream: purchases\ntypes: [purchase]|types: ": "",
	} {
		from, to, _ := strings.Cut(change, "|")
		_, err := ParseMapping([]byte(strings.Replace(purchasesMapping, from, to, 1)))
		fault, is := errors.AsType[*privacy.FieldError](err)
		if !errors.Is(err, privacy.ErrInvalid) || pointer != "" && (!is || fault.Pointer != pointer) {
			t.Errorf("%s: %v", change, err)
		}
	}
	for change, pointer := range map[string]string{
		"attribute: email|attribute: horoscope":                  "/identifier/attribute",
		"  visits: {one: true}\n|":                               "/columns/visits",
		"columns:|columns:\n  more: {one: true}":                 "/columns/more",
		"group: {field: product_group}|group: {attribute: city}": "/columns/group/attribute",
		"group: {field: product_group}|group: {day: true}":       "/columns/group",
		"group: {field: product_group}|group: {one: true}":       "/columns/group",
		"stream: purchases|stream: views":                        "",
	} {
		from, to, _ := strings.Cut(change, "|")
		mapping, err := ParseMapping([]byte(strings.Replace(purchasesMapping, from, to, 1)))
		if err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		err = mapping.fit(purchasesContract(), shipped())
		fault, is := errors.AsType[*privacy.FieldError](err)
		if !is || pointer != "" && fault.Pointer != pointer {
			t.Errorf("%s: %v", change, err)
		}
	}
	party := purchasesContract()
	party.Source = cleanroom.FromParty
	mapping, _ := ParseMapping([]byte(purchasesMapping))
	if err := mapping.fit(party, shipped()); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a party's dataset: %v", err)
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte(purchasesMapping))
	f.Add([]byte("version: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		mapping, err := ParseMapping(text)
		if (mapping == nil) == (err == nil) {
			t.Fatalf("%v, %v", mapping, err)
		}
		if err == nil && mapping.check() != nil {
			t.Error("what was parsed does not hold")
		}
	})
}

// TestShuffle: all orders of three come, and none much more often; and without randomness
// nothing is put in an order that somebody could foresee.
func TestShuffle(t *testing.T) {
	t.Parallel()
	orders := map[[3]int]int{}
	for range 6000 {
		list := [3]int{0, 1, 2}
		if err := shuffle(rand.Reader, 3, func(i, j int) { list[i], list[j] = list[j], list[i] }); err != nil {
			t.Fatal(err)
		}
		orders[list]++
	}
	for order, n := range orders {
		if len(orders) != 6 || n < 800 || n > 1200 { // seven standard deviations
			t.Errorf("%d orders, %v %d times", len(orders), order, n)
		}
	}
	if err := shuffle(bytes.NewReader(nil), 3, func(int, int) {}); err == nil {
		t.Error("without randomness nothing is said")
	}
}

func ExampleParseMapping() {
	mapping, err := ParseMapping([]byte(purchasesMapping))
	fmt.Println(mapping.Stream, len(mapping.Columns), err)
	_, err = ParseMapping([]byte("version: 1\nidentifier: {kind: cookie_id, attribute: email}"))
	fmt.Println(err)
	// Output:
	// purchases 4 <nil>
	// checking mapping: /identifier/kind: must be email, phone or customer_number
}
