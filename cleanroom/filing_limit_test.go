package cleanroom_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// What a party files is kept for ever, so there is an end to it; the same again is always there.
func TestFilingHasAnEnd(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		versions int
		ago      time.Duration
		refused  bool
	}{
		"a busy day":              {cleanroom.FiledADay, time.Hour, true},
		"one less":                {cleanroom.FiledADay - 1, time.Hour, false},
		"yesterday":               {cleanroom.FiledADay, 25 * time.Hour, false},
		"many over the years":     {cleanroom.FiledVersions, 1000 * time.Hour, true},
		"not as many as that yet": {cleanroom.FiledVersions - 1, 1000 * time.Hour, false},
	} {
		s, desk, keys := newShelf(t)
		for v := range test.versions {
			signed := signedContract(t, keys["brand_partner"], `"version": 1`, fmt.Sprintf(`"version": %d`, v+1))
			contract, err := cleanroom.ParseContract([]byte(strings.Replace(filedContract, `"version": 1`, fmt.Sprintf(`"version": %d`, v+1), 1)))
			if err != nil {
				t.Fatal(err)
			}
			filed := &cleanroom.FiledContract{SignedContract: cleanroom.SignedContract{Contract: contract, Note: signed}, AddedAt: time.Now().Add(-test.ago)}
			s.contracts = slices.Insert(s.contracts, 0, filed)
		}
		next := signedContract(t, keys["brand_partner"], `"version": 1`, fmt.Sprintf(`"version": %d`, test.versions+1))
		_, err := desk.FileContract(t.Context(), serviceOf("brand_partner"), "spring", next, "")
		if test.refused && pointerOf(t, err) != "/version" || !test.refused && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		again, err := desk.FileContract(t.Context(), serviceOf("brand_partner"), "spring", s.contracts[0].Note, "")
		if err != nil || !again.Repeated {
			t.Errorf("%s, the same again: %v", name, err)
		}
	}

	s, desk, keys := newShelf(t)
	template, err := cleanroom.ParseTemplate([]byte(filedTemplate))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cleanroom.FiledTemplates {
		other := *template
		other.Version = i + 2
		s.templates = append(s.templates, &cleanroom.SignedTemplate{Template: &other, Digest: [32]byte{byte(i), byte(i >> 8), 1}})
	}
	signed, err := cleanroom.SignTemplate(template, keys["brand_partner"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.FileTemplate(t.Context(), serviceOf("brand_partner"), "spring", signed); pointerOf(t, err) != "/version" {
		t.Errorf("one template more: %v", err)
	}
	s.templates = s.templates[1:]
	if _, err := desk.FileTemplate(t.Context(), serviceOf("brand_partner"), "spring", signed); err != nil {
		t.Errorf("one that still fits: %v", err)
	}
}

// Whoever has written a contract that the policies refuse is told which part of it that is.
func TestRefusedContractsNameThePlace(t *testing.T) {
	t.Parallel()
	many := make([]string, 300)
	for i := range many {
		many[i] = fmt.Sprintf(`"word%d"`, i)
	}
	many[217] = `"health.pregnancy_tests"`
	const tier = `{"name": "tier", "role": "dimension", "type": "enum", "category": "purchases", "domain": ["gold", "silver"]}`
	for place, with := range map[string][]string{
		"/columns/0/domain/1":   {`["gold", "silver"]`, `["grocery.dairy", "health.pregnancy_tests"], "vocabulary": "product_groups"`},
		"/columns/0/domain/217": {`["gold", "silver"]`, "[" + strings.Join(many, ",") + "]"},
		"/columns/1":            {tier, tier + `, {"name": "ill", "role": "dimension", "type": "enum", "category": "health", "domain": ["a", "b"]}`},
		"":                      {`["campaign_measurement"]`, `["recommendations"]`},
	} {
		_, desk, keys := newShelf(t)
		_, err := desk.FileContract(t.Context(), serviceOf("brand_partner"), "spring", signedContract(t, keys["brand_partner"], with...), "")
		field, ok := errors.AsType[*privacy.FieldError](err)
		if !ok || field.Pointer != "/purposes/0" || strings.Contains(field.Reason, "because of ") != (place != "") || !strings.Contains(field.Reason, place+" ") {
			t.Errorf("%q: %v", place, err)
		}
	}
}
