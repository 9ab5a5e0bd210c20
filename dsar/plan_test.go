package dsar_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func samplePlan(t testing.TB) *dsar.Plan {
	t.Helper()
	request, err := dsar.ParseRequestID("00010203-0405-4607-8809-0a0b0c0d0e0f")
	if err != nil {
		t.Fatal(err)
	}
	return &dsar.Plan{
		Version: dsar.PlanVersion, Request: request, Binding: "AAECAwQFBgcICQoLDA0ODw",
		Held:        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		Categories:  []dsar.PlannedCategory{{Category: "contact", Attributes: 3, Version: 2}},
		Streams:     []dsar.PlannedStream{{Category: "purchases", Events: 130, Chunks: 3, Versions: 7}},
		Identifiers: []dsar.PlannedIdentifier{{Kind: privacy.Email, Count: 1}},
		Consents:    4,
		Withheld: []dsar.Withheld{
			{Category: "purchases", Ground: "tax_records", Article: "CZ 235/2004 § 35", Until: time.Date(2036, 12, 31, 0, 0, 0, 0, time.UTC), Items: 12},
			{Category: "contact", Attribute: "last_name", Ground: "legal_hold", Article: "GDPR 17(3)(e)", Items: 1},
		},
		Processors: []string{"newsletter_engine"},
	}
}

// TestPlanVector: the document is also for other implementations, and its hash stands in
// logs, so neither may change.
func TestPlanVector(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join("testdata", "plan.json"))
	if err != nil {
		t.Fatal(err)
	}
	plan := samplePlan(t)
	got, err := plan.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("document (-want +got):\n%s", diff)
	}
	// sha256sum of the file without its last byte.
	const hash = "ccd26aec82a3b1e29bfd3395cf51a88526b044730599100e537a32deada957de"
	if sum, err := plan.Hash(); err != nil || hex.EncodeToString(sum[:]) != hash {
		t.Errorf("hash %x, %v", sum, err)
	}
	again, err := dsar.ParsePlan(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, again); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

func TestPlanOfNothing(t *testing.T) {
	t.Parallel()
	empty := dsar.Plan{Version: dsar.PlanVersion, Request: samplePlan(t).Request}
	document, err := empty.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"v":1,"request":"00010203-0405-4607-8809-0a0b0c0d0e0f","binding":"","held":"","categories":[],"streams":[],"identifiers":[],"consents":0,"withheld":[],"processors":[]}`
	if string(document) != want {
		t.Errorf("got %s", document)
	}
}

func TestParsePlanRefuses(t *testing.T) {
	t.Parallel()
	good, err := samplePlan(t).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	for name, document := range map[string]string{
		"nothing": "", "no object": "[]", "white space": string(good) + "\n", "another version": `{"v":2` + string(good[6:]),
		"a field more": `{"x":1,` + string(good[1:]), "two": string(good) + string(good), "cut": string(good[:len(good)-1]),
	} {
		if _, err := dsar.ParsePlan([]byte(document)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlanHashBindsEverything: a plan that differs in anything has another hash.
func TestPlanHashBindsEverything(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]string{}
	for name, change := range map[string]func(*dsar.Plan){
		"as it is":    func(*dsar.Plan) {},
		"request":     func(p *dsar.Plan) { p.Request[0]++ },
		"binding":     func(p *dsar.Plan) { p.Binding = "x" },
		"held":        func(p *dsar.Plan) { p.Held = "x" },
		"attributes":  func(p *dsar.Plan) { p.Categories[0].Attributes++ },
		"version":     func(p *dsar.Plan) { p.Categories[0].Version++ },
		"events":      func(p *dsar.Plan) { p.Streams[0].Events++ },
		"chunks":      func(p *dsar.Plan) { p.Streams[0].Chunks++ },
		"versions":    func(p *dsar.Plan) { p.Streams[0].Versions++ },
		"identifiers": func(p *dsar.Plan) { p.Identifiers[0].Count++ },
		"consents":    func(p *dsar.Plan) { p.Consents++ },
		"until":       func(p *dsar.Plan) { p.Withheld[0].Until = p.Withheld[0].Until.AddDate(0, 0, 1) },
		"ground":      func(p *dsar.Plan) { p.Withheld[0].Ground = "x" },
		"less kept":   func(p *dsar.Plan) { p.Withheld = p.Withheld[:1] },
		"processors":  func(p *dsar.Plan) { p.Processors = nil },
	} {
		plan := samplePlan(t)
		change(plan)
		hash, err := plan.Hash()
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[hash]; twice {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[hash] = name
	}
}

func FuzzParsePlan(f *testing.F) {
	good, err := samplePlan(f).Canonical()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		plan, err := dsar.ParsePlan(document)
		if err != nil {
			return
		}
		again, err := plan.Canonical()
		if err != nil || string(again) != string(document) {
			t.Errorf("%q was read and is written as %q, %v", document, again, err)
		}
	})
}

func TestErasureID(t *testing.T) {
	t.Parallel()
	id, err := dsar.ParseErasureID("00010203-0405-4607-8809-0a0b0c0d0e0f")
	if err != nil || id.String() != "00010203-0405-4607-8809-0a0b0c0d0e0f" {
		t.Errorf("read %s, %v", id, err)
	}
	if _, err := dsar.ParseErasureID("x"); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("x was read: %v", err)
	}
}
