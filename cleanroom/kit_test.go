package cleanroom_test

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const purchasesContract = `{
  "owner": "retailer", "dataset": "purchases", "version": 1, "source": "house", "unit": "household",
  "purposes": ["campaign_measurement"],
  "columns": [
    {"name": "product_group", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["snacks", "drinks", "other"], "other": "other"},
    {"name": "day", "role": "dimension", "type": "day", "category": "purchases", "first": "2026-01-01", "last": "2026-12-31", "grid": "month"},
    {"name": "store", "role": "hidden", "type": "enum", "category": "purchases", "domain": ["north", "south"]},
    {"name": "spend_minor", "role": "measure", "type": "integer", "category": "purchases", "lo": 0, "hi": 50000, "bins": [1000, 10000], "functions": ["sum", "avg", "histogram"]},
    {"name": "visits", "role": "measure", "type": "integer", "category": "purchases", "hi": 20, "functions": ["sum"]}
  ],
  "minimum_people": 50, "cap_nanorho": 147000000, "consumer_cap_nanorho": 36750000, "query_cap_nanorho": 5880000,
  "max_groups_per_person": 3, "ad_hoc": true
}`

const segmentsContract = `{
  "owner": "brand", "dataset": "segments", "version": 2, "source": "party", "unit": "household",
  "purposes": ["campaign_measurement", "segmentation"],
  "columns": [
    {"name": "segment", "role": "dimension", "type": "enum", "category": "segments", "domain": ["gold", "silver"]},
    {"name": "points", "role": "measure", "type": "integer", "category": "segments", "lo": -100, "hi": 100, "functions": ["avg"]}
  ],
  "minimum_people": 60, "cap_nanorho": 100000000, "consumer_cap_nanorho": 20000000, "query_cap_nanorho": 4000000,
  "max_groups_per_person": 2, "ad_hoc": true
}`

func newKey(t testing.TB, seed byte, name string) (note.Signer, note.Verifier) {
	t.Helper()
	secret, public, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)), name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, verifier
}

func mustContract(t testing.TB, document string) *cleanroom.Contract {
	t.Helper()
	c, err := cleanroom.ParseContract([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mustSign returns a contract as its owner signed it.
func mustSign(t testing.TB, c *cleanroom.Contract) *cleanroom.SignedContract {
	t.Helper()
	signer, verifier := newKey(t, 1, string(c.Owner))
	signed, err := cleanroom.SignContract(c, signer)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := cleanroom.OpenContract(signed, verifier)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// pointerOf returns the place that a refusal names.
func pointerOf(t testing.TB, err error) string {
	t.Helper()
	field, ok := errors.AsType[*privacy.FieldError](err)
	if !ok {
		t.Fatalf("no refusal with a place: %v", err)
	}
	return field.Pointer
}
