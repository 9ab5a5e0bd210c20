package cleanroom_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

func TestContractIsRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	mustContract(t, purchasesContract)
	for _, test := range []struct{ old, now, pointer string }{
		{`"owner": "retailer"`, `"owner": "Retailer"`, "/owner"},
		{`"owner": "retailer"`, `"owner": ""`, "/owner"},
		{`"owner": "retailer", `, ``, "/owner"},
		{`"dataset": "purchases"`, `"dataset": "a.b"`, "/dataset"},
		{`"version": 1`, `"version": 0`, "/version"},
		{`"version": 1`, `"version": 1.0`, ""},
		{`"version": 1`, `"version": "1"`, "/version"},
		{`"version": 1`, `"version": null`, ""},
		{`"version": 1`, `"version": 1, "version": 2`, ""},
		{`"version": 1`, `"version": 1, "views": 2`, ""},
		{`"source": "house"`, `"source": "broker"`, "/source"},
		{`"unit": "household"`, `"unit": "row"`, "/unit"},
		{`["campaign_measurement"]`, `[]`, "/purposes"},
		{`["campaign_measurement"]`, `["a", "a"]`, "/purposes/1"},
		{`"minimum_people": 50`, `"minimum_people": 1`, "/minimum_people"},
		{`"cap_nanorho": 147000000,`, `"cap_nanorho": 2000000001,`, "/cap_nanorho"},
		{`"consumer_cap_nanorho": 36750000`, `"consumer_cap_nanorho": 147000001`, "/consumer_cap_nanorho"},
		{`"query_cap_nanorho": 5880000`, `"query_cap_nanorho": 36750001`, "/query_cap_nanorho"},
		{`"max_groups_per_person": 3`, `"max_groups_per_person": 0`, "/max_groups_per_person"},
		{`"name": "day"`, `"name": "product_group"`, "/columns/1/name"},
		{`"name": "day"`, `"name": "the day"`, "/columns/1/name"},
		{`"role": "hidden"`, `"role": "join"`, "/columns/2/role"},
		{`"role": "measure", "type": "integer", "category": "purchases", "lo": 0`, `"role": "dimension", "type": "integer", "category": "purchases", "lo": 0`, "/columns/3/type"},
		{`"domain": ["north", "south"]`, `"domain": ["north", "north"]`, "/columns/2/domain/1"},
		{`"domain": ["north", "south"]`, `"domain": []`, "/columns/2/domain"},
		{`"domain": ["north", "south"]`, `"domain": ["north", " "]`, "/columns/2/domain/1"},
		// What a terminal obeys, what reads backwards, and what nobody sees.
		{`"domain": ["north", "south"]`, `"domain": ["north", "\u009b2Jsouth"]`, "/columns/2/domain/1"},
		{`"domain": ["north", "south"]`, `"domain": ["north", "\u202ehtuos"]`, "/columns/2/domain/1"},
		{`"domain": ["north", "south"]`, `"domain": ["north", "nor\u200bth"]`, "/columns/2/domain/1"},
		{`"domain": ["north", "south"]`, `"domain": ["north"], "lo": 1`, "/columns/2/lo"},
		{`"other": "other"`, `"other": "rest"`, "/columns/0/other"},
		{`"first": "2026-01-01"`, `"first": "2026-01-02"`, "/columns/1/first"},
		{`"last": "2026-12-31"`, `"last": "2026-12-30"`, "/columns/1/last"},
		{`"last": "2026-12-31"`, `"last": "2025-12-31"`, "/columns/1/last"},
		{`"grid": "month"`, `"grid": "hour"`, "/columns/1/grid"},
		{`"hi": 50000`, `"hi": 50000000000`, "/columns/3/hi"},
		{`"lo": 0, "hi": 50000`, `"lo": 3, "hi": 2`, "/columns/3/hi"},
		{`"lo": 0, "hi": 50000`, `"lo": 0, "hi": 0`, "/columns/3/hi"},
		{`"bins": [1000, 10000]`, `"bins": [1000, 1000]`, "/columns/3/bins/1"},
		{`"bins": [1000, 10000], `, ``, "/columns/3/bins"},
		{`"functions": ["sum"]`, `"functions": ["max"]`, "/columns/4/functions/0"},
		{`"functions": ["sum"]`, `"functions": []`, "/columns/4/functions"},
		{`"category": "segments"`, ``, ""},
	} {
		document := strings.Replace(purchasesContract, test.old, test.now, 1)
		if document == purchasesContract {
			document += "x"
		}
		_, err := cleanroom.ParseContract([]byte(document))
		if err == nil {
			t.Errorf("%s was accepted", test.now)
			continue
		}
		if got := pointerOf(t, err); got != test.pointer {
			t.Errorf("%s: refused at %q, want %q (%v)", test.now, got, test.pointer, err)
		}
		if !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v is no invalid input", test.now, err)
		}
	}
}

// A contract has the same bytes however it was written down, and they are signed.
func TestContractVector(t *testing.T) {
	t.Parallel()
	signed := mustSign(t, mustContract(t, segmentsContract))
	const text = "mahrem contract v1\n" +
		`{"ad_hoc":true,"cap_nanorho":100000000,"columns":[{"category":"segments","domain":["gold","silver"],"name":"segment","role":"dimension","type":"enum"},` +
		`{"category":"segments","functions":["avg"],"hi":100,"lo":-100,"name":"points","role":"measure","type":"integer"}],"consumer_cap_nanorho":20000000,"dataset":"segments",` +
		`"max_groups_per_person":2,"minimum_people":60,"owner":"brand","purposes":["campaign_measurement","segmentation"],"query_cap_nanorho":4000000,"source":"party","unit":"household","version":2}` + "\n\n"
	if got, _, _ := strings.Cut(string(signed.Note), "— "); got != text {
		t.Errorf("signed:\n%swant:\n%s", got, text)
	}
	const digest = "776d9bc605c66a18955d40a5c2452d6c1579822360c782594a23e6004f2783a5"
	if got := hex.EncodeToString(signed.Digest[:]); got != digest {
		t.Errorf("digest %s, want %s", got, digest)
	}
	const signature = "brand kWTgl2dLmCP5MBjKsr3O4Sj+M5QrxwSHFpntLLlMsqW3OcdBrzq8qWok3SAXV8O6slNp/GPIQ5V3es7rbSjvW9mB3AM=\n"
	if _, got, _ := strings.Cut(string(signed.Note), "— "); got != signature {
		t.Errorf("signature %q", got)
	}
}

func TestOpenContractRefuses(t *testing.T) {
	t.Parallel()
	c := mustContract(t, segmentsContract)
	signer, verifier := newKey(t, 1, "brand")
	other, _ := newKey(t, 2, "retailer")
	_, stranger := newKey(t, 3, "brand")
	signed, err := cleanroom.SignContract(c, signer)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := cleanroom.OpenContract(signed, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, opened.Contract); diff != "" {
		t.Error(diff)
	}
	if _, err := cleanroom.SignContract(c, other); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("somebody else signed it: %v", err)
	}
	if _, err := cleanroom.OpenContract(signed, stranger); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("opened with the key of somebody else: %v", err)
	}
	for i := range signed {
		changed := bytes.Clone(signed)
		changed[i] ^= 1
		if _, err := cleanroom.OpenContract(changed, verifier); err == nil {
			t.Fatalf("byte %d was changed, and it opens", i)
		}
	}
	template, err := cleanroom.SignTemplate(mustTemplate(t, reachTemplate), signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cleanroom.OpenContract(template, verifier); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("a template opens as a contract: %v", err)
	}
}

func TestParseDatasetRef(t *testing.T) {
	t.Parallel()
	ref, err := cleanroom.ParseDatasetRef("shop.online.purchases")
	if err != nil || ref.Owner != "shop.online" || ref.Dataset != "purchases" || ref.String() != "shop.online.purchases" {
		t.Errorf("%v, %v", ref, err)
	}
	for _, bad := range []string{"", "a", ".a", "a.", "A.b", "a.B", "a..b"} {
		if _, err := cleanroom.ParseDatasetRef(bad); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
