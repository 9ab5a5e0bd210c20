package cleanroom_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

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

// All versions of a contract, and all templates of a room, are shown at once, so they have an end
// in bytes as well.
func TestFilingHasAnEndInBytes(t *testing.T) {
	t.Parallel()
	s, desk, keys := newShelf(t)
	first := signedContract(t, keys["brand_partner"])
	contract, err := cleanroom.ParseContract([]byte(filedContract))
	if err != nil {
		t.Fatal(err)
	}
	next := signedContract(t, keys["brand_partner"], `"version": 1`, `"version": 2`)
	file := func(signed int) error {
		s.contracts = []*cleanroom.FiledContract{{
			SignedContract: cleanroom.SignedContract{Contract: contract, Note: append(slices.Clone(first), make([]byte, signed-len(first))...)},
			AddedAt:        time.Now().Add(-48 * time.Hour),
		}}
		_, err := desk.FileContract(t.Context(), serviceOf("brand_partner"), "spring", next, "")
		return err
	}
	if err := file(cleanroom.FiledBytes - len(next) + 1); pointerOf(t, err) != "/version" {
		t.Errorf("a byte more: %v", err)
	}
	if err := file(cleanroom.FiledBytes - len(next)); err != nil {
		t.Errorf("just as long: %v", err)
	}

	template, signed := signedTemplate(t, keys["brand_partner"])
	fileTemplate := func(size int) error {
		other := *template
		other.Version = 7
		s.templates = []*cleanroom.SignedTemplate{{Template: &other, Note: make([]byte, size), Digest: [32]byte{1}}}
		_, err := desk.FileTemplate(t.Context(), serviceOf("brand_partner"), "spring", signed)
		return err
	}
	if err := fileTemplate(cleanroom.FiledBytes - len(signed) + 1); pointerOf(t, err) != "/version" {
		t.Errorf("a template, a byte more: %v", err)
	}
	if err := fileTemplate(cleanroom.FiledBytes - len(signed)); err != nil {
		t.Errorf("a template, just as long: %v", err)
	}
}

// A document is refused before reading it takes much more memory than it has bytes.
func TestDocumentsHaveAnEnd(t *testing.T) {
	t.Parallel()
	for _, values := range []string{"[]", "{}", "1", `""`} {
		document := `{"owner":[` + strings.Repeat(values+",", 16<<10) + values + `]}`
		if _, err := cleanroom.ParseContract([]byte(document)); err == nil || !strings.Contains(err.Error(), "too many values") {
			t.Errorf("many of %s: %v", values, err)
		}
	}
	// The largest contract that there can be is read.
	words := make([]string, 1000)
	columns := make([]string, 8)
	for i := range columns {
		for j := range words {
			words[j] = fmt.Sprintf(`"%d_%d_%s"`, i, j, strings.Repeat("x", 88))
		}
		columns[i] = fmt.Sprintf(`{"name":"c%d","role":"dimension","type":"enum","category":"purchases","domain":[%s]}`, i, strings.Join(words, ","))
	}
	from, to := strings.Index(filedContract, `[{"name"`), strings.Index(filedContract, `"minimum_people"`)
	if _, err := cleanroom.ParseContract([]byte(filedContract[:from] + "[" + strings.Join(columns, ",") + "]," + filedContract[to:])); err != nil {
		t.Errorf("the largest contract: %v", err)
	}
}

// A template that is too long to be kept can neither be signed nor filed. One that was filed when
// there was no such end is read.
func TestTemplatesHaveAnEnd(t *testing.T) {
	t.Parallel()
	s, desk, keys := newShelf(t)
	long := func(words, length int) *cleanroom.Template {
		template, err := cleanroom.ParseTemplate([]byte(filedTemplate))
		if err != nil {
			t.Fatal(err)
		}
		template.Query.Where[0] = cleanroom.Predicate{
			Column: "a.tier", Operator: "in", Value: []byte(`["` + strings.Repeat(strings.Repeat("x", length)+`","`, words) + `"]`),
		}
		return template
	}
	if _, err := cleanroom.SignTemplate(long(1000, 120), keys["brand_partner"]); err != nil {
		t.Errorf("of 120 KB: %v", err)
	}
	if _, err := cleanroom.SignTemplate(long(1000, 140), keys["brand_partner"]); pointerOf(t, err) != "/query" {
		t.Errorf("of 140 KB: %v", err)
	}
	canonical, err := long(1000, 140).Canonical()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "mahrem template v1\n" + string(canonical) + "\n"}, keys["brand_partner"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := desk.FileTemplate(t.Context(), serviceOf("brand_partner"), "spring", signed); pointerOf(t, err) != "/query" {
		t.Errorf("of 140 KB, signed elsewhere: %v", err)
	}
	verifier, err := cleanroom.ParseVerifier(s.keys["brand_partner"], "brand_partner")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cleanroom.OpenTemplate(signed, []note.Verifier{verifier}); err != nil {
		t.Errorf("of 140 KB, which is there: %v", err)
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
