package cleanroom_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const reachTemplate = `{
  "name": "reach_by_segment", "version": 3,
  "query": {
    "room": "r1",
    "from": [{"dataset": "retailer.purchases", "as": "p"}, {"dataset": "brand.segments", "as": "s"}], "join": "match",
    "where": [{"col": "p.product_group", "op": "in", "val": {"hole": "groups"}}, {"col": "p.store", "op": "=", "val": "north"}],
    "group_by": ["s.segment"],
    "metrics": [{"fn": "people", "as": "reach"}, {"fn": "avg", "col": "p.spend_minor", "as": "spend"}],
    "privacy": {"noise_people": 20, "max_groups_per_person": 1}, "purpose": "campaign_measurement"
  }
}`

func mustTemplate(t testing.TB, document string) *cleanroom.Template {
	t.Helper()
	template, err := cleanroom.ParseTemplate([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestTemplateIsRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ old, now, pointer string }{
		{`"name": "reach_by_segment"`, `"name": "reach@3"`, "/name"},
		{`"version": 3`, `"version": -3`, "/version"},
		{`"val": "north"`, `"val": {"hole": "groups"}`, "/query/where/1/val/hole"},
		{`"val": "north"`, `"val": {"hole": "a", "b": 1}`, "/query/where/1/val"},
		{`"col": "p.store"`, `"col": "p.product_group"`, "/query/where/1/col"},
		{`"purpose": "campaign_measurement"`, `"purpose": "campaign_measurement", "template": "a@1"`, "/query/template"},
		{`"noise_people": 20`, `"noise_people": 9`, "/query/privacy/noise_people"},
		{`"join": "match"`, `"join": "left"`, "/query/join"},
	} {
		_, err := cleanroom.ParseTemplate([]byte(strings.Replace(reachTemplate, test.old, test.now, 1)))
		if err == nil {
			t.Errorf("%s was accepted", test.now)
		} else if got := pointerOf(t, err); got != test.pointer {
			t.Errorf("%s: refused at %q, want %q", test.now, got, test.pointer)
		}
	}
}

func TestTemplateIsSignedByEverybody(t *testing.T) {
	t.Parallel()
	template := mustTemplate(t, reachTemplate)
	retailer, retailerKey := newKey(t, 1, "retailer")
	brand, brandKey := newKey(t, 2, "brand")
	stranger, _ := newKey(t, 3, "brand")
	signed, err := cleanroom.SignTemplate(template, retailer)
	if err != nil {
		t.Fatal(err)
	}
	keys := []note.Verifier{retailerKey, brandKey}
	one, err := cleanroom.OpenTemplate(signed, keys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]cleanroom.PartyID{"retailer"}, one.Signers); diff != "" {
		t.Error(diff)
	}
	cosigned, err := cleanroom.CosignTemplate(signed, brand)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := cleanroom.CosignTemplate(cosigned, brand); err != nil || string(again) != string(cosigned) {
		t.Errorf("signing twice changes it: %v", err)
	}
	both, err := cleanroom.OpenTemplate(cosigned, keys)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]cleanroom.PartyID{"brand", "retailer"}, both.Signers); diff != "" {
		t.Error(diff)
	}
	if one.Digest != both.Digest {
		t.Error("the digest depends on who signed")
	}
	if diff := cmp.Diff(template, both.Template); diff != "" {
		t.Error(diff)
	}
	// A signature by another key of the same name counts for nothing.
	forged, err := cleanroom.CosignTemplate(signed, stranger)
	if err != nil {
		t.Fatal(err)
	}
	if opened, err := cleanroom.OpenTemplate(forged, keys); err != nil || len(opened.Signers) != 1 {
		t.Errorf("a stranger's signature counts: %v", err)
	}
	if _, err := cleanroom.OpenTemplate(signed, []note.Verifier{brandKey}); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("it opens without a good signature: %v", err)
	}
	changed := strings.Replace(string(cosigned), `"version":3`, `"version":4`, 1)
	if _, err := cleanroom.OpenTemplate([]byte(changed), keys); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a changed template opens: %v", err)
	}
}

func TestFillTemplate(t *testing.T) {
	t.Parallel()
	template := mustTemplate(t, reachTemplate)
	parse := func(document string) *cleanroom.Query {
		t.Helper()
		q, err := cleanroom.ParseQuery([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	filled, err := template.Fill(parse(`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "purpose": "campaign_measurement"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(filled.Where[0].Value); got != `["snacks"]` {
		t.Errorf("the hole is filled with %s", got)
	}
	if string(template.Query.Where[0].Value) != `{"hole":"groups"}` {
		t.Error("filling it changed the template")
	}
	whole, err := json.Marshal(filled)
	if err != nil {
		t.Fatal(err)
	}
	again, err := template.Fill(parse(string(whole)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(filled, again); diff != "" {
		t.Errorf("the whole query and its values differ: %s", diff)
	}
	for _, test := range []struct{ document, pointer string }{
		{`{"room": "r1", "template": "reach_by_segment@2", "values": {"groups": ["snacks"]}, "purpose": "campaign_measurement"}`, "/template"},
		{`{"room": "r2", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "purpose": "campaign_measurement"}`, "/template"},
		{`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "purpose": "segmentation"}`, "/purpose"},
		{`{"room": "r1", "template": "reach_by_segment@3", "purpose": "campaign_measurement"}`, "/values"},
		{`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"], "more": "north"}, "purpose": "campaign_measurement"}`, "/values"},
		{`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": {"hole": "groups"}}, "purpose": "campaign_measurement"}`, "/values/groups"},
		{`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "privacy": {"noise_people": 19, "max_groups_per_person": 1}, "purpose": "campaign_measurement"}`, "/privacy/noise_people"},
		{`{"room": "r1", "template": "reach_by_segment@3", "values": {"groups": ["snacks"]}, "privacy": {"noise_people": 20, "max_groups_per_person": 2}, "purpose": "campaign_measurement"}`, "/privacy/max_groups_per_person"},
	} {
		_, err := template.Fill(parse(test.document))
		if err == nil {
			t.Errorf("%s was accepted", test.document)
		} else if got := pointerOf(t, err); got != test.pointer {
			t.Errorf("%s: refused at %q, want %q", test.document, got, test.pointer)
		}
	}
}
