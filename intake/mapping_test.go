package intake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

const goodMap = `
version: 1
source: shop
jurisdiction: CZ
identifiers:
  - {kind: email, column: mail}
`

func TestMappingSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":            {goodMap + "colour: red\n", "line 7: field colour not found"},
		"unknown inner key":      {goodMap + "attributes: [{name: city, colum: x}]\n", "field colum not found"},
		"two documents":          {goodMap + "---\n" + goodMap, "more than one document"},
		"other version":          {strings.Replace(goodMap, "1", "2", 1), "/version"},
		"source":                 {strings.Replace(goodMap, "shop", "My Shop", 1), "/source"},
		"nobody":                 {strings.Replace(goodMap, "  - {kind: email, column: mail}", "", 1), "/identifiers"},
		"identifier kind":        {strings.Replace(goodMap, "email", "passport", 1), "/identifiers/0/kind"},
		"no jurisdiction":        {strings.Replace(goodMap, "jurisdiction: CZ", "", 1), "/jurisdiction"},
		"two sources of a value": {goodMap + "attributes: [{name: city, column: x, const: y}]\n", "/attributes/0"},
		"no source of a value":   {goodMap + "attributes: [{name: city}]\n", "/attributes/0"},
		"quality":                {goodMap + "attributes: [{name: city, column: x, quality: superb}]\n", "/attributes/0/quality"},
		"strict without a map":   {goodMap + "attributes: [{name: city, column: x, strict: true}]\n", "/attributes/0/strict"},
		"event without time":     {goodMap + "events: [{type: purchase, stream: purchases}]\n", "/events/0/at/column"},
		"event field name":       {goodMap + "events: [{type: purchase, stream: purchases, at: {column: t}, fields: {Product: {column: p}}}]\n", "/events/0/fields"},
		"join outside":           {goodMap + "joins: [{name: p, file: ../x.csv, on: a, key: b, columns: [c]}]\n", "/joins/0/file"},
		"consent action":         {goodMap + "consents: [{purpose: newsletter, channel: email, action: {const: perhaps}}]\n", "/consents/0/action"},
	} {
		_, err := ParseMapping([]byte(c.text))
		if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func shippedWords(t testing.TB) Words {
	t.Helper()
	catalogue, err := policies.LoadCatalogue(policies.Bundle(), "catalogue")
	if err != nil {
		t.Fatal(err)
	}
	return NewWords(func() *policies.Catalogue { return catalogue })
}

// TestShippedMappings binds each mapping to the columns of its file and the shipped
// catalogue.
func TestShippedMappings(t *testing.T) {
	t.Parallel()
	columns := map[string]string{
		"complete-journey-transactions": "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,transaction_timestamp,product.department,product.product_category,product.product_type",
		"complete-journey-demographics": "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count",
		"complete-journey-campaigns":    "campaign_id,household_id,campaign.campaign_type,campaign.start_date",
		"complete-journey-redemptions":  "household_id,coupon_upc,campaign_id,redemption_date",
	}
	words := shippedWords(t)
	for _, name := range BundledMappings() {
		m, err := BundledMapping(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if columns[name] == "" {
			t.Errorf("%s: the test does not know its columns", name)
		}
		if _, err := newPlan(m, strings.Split(columns[name], ","), words, words, time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		delete(columns, name)
	}
	for name := range columns {
		t.Errorf("%s is not shipped", name)
	}
	if _, err := BundledMapping("../mapping"); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("a path: %v", err)
	}
}

func TestPlanNamesWhatIsNotThere(t *testing.T) {
	t.Parallel()
	words := shippedWords(t)
	for want, text := range map[string]string{
		"/identifiers/0/column":     goodMap,
		"/attributes/0/name":        strings.Replace(goodMap, "mail}", "a}", 1) + "attributes: [{name: shoe_size, column: a}]\n",
		"/attributes/0/column":      strings.Replace(goodMap, "mail}", "a}", 1) + "attributes: [{name: first_name, column: x}]\n",
		"/events/0/stream":          strings.Replace(goodMap, "mail}", "a}", 1) + "events: [{type: purchase, stream: gossip, at: {column: a}}]\n",
		"/events/0/at/zone":         strings.Replace(goodMap, "mail}", "a}", 1) + "events: [{type: purchase, stream: purchases, at: {column: a, zone: Europe/Atlantis}}]\n",
		"/jurisdiction":             strings.Replace(strings.Replace(goodMap, "mail}", "a}", 1), "CZ", "XX", 1),
		"/consents/0":               strings.Replace(goodMap, "mail}", "a}", 1) + "consents: [{purpose: snooping, channel: email, action: {const: granted}, notice_version: v1, source: form}]\n",
		"/events/0/fields/x/column": strings.Replace(goodMap, "mail}", "a}", 1) + "events: [{type: purchase, stream: purchases, at: {column: a}, fields: {x: {column: y}}}]\n",
		"purchases.product_groups":  "", // computed from events: see below
	} {
		if text == "" {
			if _, known := words.CategoryOf(privacy.AttributeName(want)); known {
				t.Errorf("%s can be loaded", want)
			}
			continue
		}
		m, err := ParseMapping([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newPlan(m, []string{"a", "b"}, words, words, time.Now()); !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

const fullMap = `
version: 1
source: shop
jurisdiction: CZ
jurisdiction_from: {column: country, map: {Türkiye: TR, Atlantis: XX}}
identifiers:
  - {kind: customer_number, column: id, prefix: s-}
  - {kind: email, column: mail, optional: true}
attributes:
  - {name: birth_date, column: born, date: "02.01.2006", quality: verified}
  - {name: preferences.interests, column: tags, split: "|", trim: true, lower: true, drop: [none]}
  - {name: household, column: persons, map: {"1": single, "2": shared}, strict: true}
events:
  - type: purchase
    stream: purchases
    at: {column: at, layout: "2006-01-02 15:04", zone: Europe/Prague}
    when: {column: status, in: [paid]}
    fields:
      product_group: {product_group: {category: category}}
`

func TestPlanReadsARow(t *testing.T) {
	t.Parallel()
	words := shippedWords(t)
	m, err := ParseMapping([]byte(fullMap))
	if err != nil {
		t.Fatal(err)
	}
	columns := strings.Split("id,mail,country,born,tags,persons,at,status,category", ",")
	p, err := newPlan(m, columns, words, words, time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	good := []string{"7", "", "Türkiye", "24.12.2010", " Yoga |none|yoga|Football", "2", "2026-07-01 12:00", "paid", "DIAPERS & DISPOSABLES"}
	item, problem := p.item(good, 2)
	if problem != nil {
		t.Fatalf("%+v", problem)
	}
	if len(item.Identifiers) != 1 || item.Identifiers[0].Value != privacy.NewPlain("s-7") || item.Jurisdiction != "TR" {
		t.Errorf("%d identifiers, jurisdiction %s", len(item.Identifiers), item.Jurisdiction)
	}
	var attributes []string
	for _, a := range item.Attributes {
		text := fmt.Sprintf("%s/%s %s", a.Category, a.Name, a.Field.Quality)
		for _, v := range a.Field.Values {
			text += " " + v.RevealPersonalData()
		}
		attributes = append(attributes, text)
	}
	want := []string{"core/birth_date verified 2010-12-24", "preferences/preferences.interests unverified yoga football", "core/household unverified shared"}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Error(diff)
	}
	event := item.Events[0].Event
	if !event.At.Equal(time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)) {
		t.Errorf("at %s: Prague has summer time", event.At)
	}
	if group := event.Fields["product_group"]; !strings.HasPrefix(group.RevealPersonalData(), "baby") {
		t.Error("diapers are not for babies")
	}
	for reason, edit := range map[Reason]func([]string){
		MissingIdentifier: func(r []string) { r[0] = " " },
		BadJurisdiction:   func(r []string) { r[2] = "Atlantis" },
		BadTime:           func(r []string) { r[3] = "2010-12-24" },
		UnknownValue:      func(r []string) { r[5] = "many" },
	} {
		row := slices.Clone(good)
		edit(row)
		if _, problem := p.item(row, 2); problem == nil || problem.reason != reason {
			t.Errorf("%s: %+v", reason, problem)
		}
	}
	unpaid := slices.Clone(good)
	unpaid[7], unpaid[6] = "open", "not a time"
	if item, problem := p.item(unpaid, 2); problem != nil || len(item.Events) != 0 {
		t.Errorf("an order that was not paid: %d events, %+v", len(item.Events), problem)
	}
	unknown := slices.Clone(good)
	unknown[8] = ""
	if item, _ := p.item(unknown, 2); item.Events[0].Event.Fields["product_group"] != privacy.NewPlain(UnknownGroup) {
		t.Error("a product without words has a group")
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte(goodMap))
	f.Add([]byte(fullMap))
	f.Add([]byte("version: 1\nsource: [a]\n"))
	f.Add([]byte("a: &a [*a]\n"))
	words := shippedWords(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMapping(text)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		columns := m.wantedColumns()
		p, err := newPlan(m, columns, words, words, time.Now())
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		_, _ = p.item(make([]string, len(columns)), 1)
	})
}

func FuzzRow(f *testing.F) {
	f.Add([]byte(`{"identifiers":[{"kind":"email","value":"a@example.com"}],"jurisdiction":"TR","attributes":{"first_name":"Ayşe","preferences.interests":["yoga",1,null]},"events":[{"type":"purchase","at":"2026-03-01T12:00:00Z","id":"1","fields":{"amount":"3"}}],"consents":[{"action":"granted","purpose":"newsletter","channel":"email","notice_version":"v3","source":"web_form","effective_at":"2026-01-01T00:00:00Z"}]}`))
	f.Add([]byte(`{"identifiers":[]}`))
	f.Add([]byte(`{"identifiers":[{"kind":"email","value":"x"}],"attributes":{"first_name":{}}}`))
	f.Add([]byte(`{} {}`))
	words := shippedWords(f)
	reader := rowReader{words, map[string]privacy.DataCategory{"purchase": "purchases"}, "CZ", time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	f.Fuzz(func(t *testing.T, line []byte) {
		item, problem := reader.item(line, 1)
		if problem != nil {
			if problem.reason == "" {
				t.Fatal("no reason")
			}
			return
		}
		if len(item.Identifiers) == 0 || !words.KnowsJurisdiction(item.Jurisdiction) {
			t.Fatal("nobody, or nowhere")
		}
		for _, a := range item.Attributes {
			if len(a.Field.Values) == 0 {
				t.Fatal("an attribute without a value")
			}
		}
	})
}

func ExampleParseMapping() {
	_, err := ParseMapping([]byte(`
version: 1
source: shop
jurisdiction: CZ
identifiers:
  - {kind: passport, column: number}
`))
	fmt.Println(err)
	// Output: checking mapping: /identifiers/0/kind: must be email, phone, customer_number or cookie_id
}

// What a shop calls a product is read where its own words say nothing, or too little.
func TestPlanClassifiesByFreeText(t *testing.T) {
	t.Parallel()
	m, err := ParseMapping([]byte(goodMap + `events:
  - type: purchase
    stream: purchases
    at: {column: at}
    fields:
      product_group: {product_group: {category: category, text: name}}
`))
	if err != nil {
		t.Fatal(err)
	}
	words := shippedWords(t)
	p, err := newPlan(m, []string{"mail", "at", "category", "name"}, words, words, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for row, want := range map[[2]string]string{
		{"", "Těhotenský test Clear, 2 ks"}:  "health.pregnancy_test",
		{"BATH", "GEBELİK TESTİ"}:            "health.pregnancy_test", // reveals what the category hides
		{"BATH", "Red wine bubble bath"}:     "beauty.bath",           // the shop's own word counts
		{"FAMILY PLANNING", "Lemonade"}:      "health.contraception",
		{"NEVER SEEN", "Ekmek"}:              "bakery",
		{"NEVER SEEN", "something entirely"}: string(policies.OtherGroup),
		{"", ""}:                             UnknownGroup,
	} {
		item, problem := p.item([]string{"a@example.org", "2026-03-01T12:00:00Z", row[0], row[1]}, 1)
		if problem != nil {
			t.Fatal(problem)
		}
		if got := item.Events[0].Event.Fields["product_group"]; got != privacy.NewPlain(want) {
			t.Errorf("%q, %q: not %s", row[0], row[1], want)
		}
	}
}
