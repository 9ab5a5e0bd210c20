package cleanroom_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// wantRefusal fails unless an error is one that may be told to whoever sent the document.
func wantRefusal(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[*privacy.FieldError](err); !ok {
		t.Fatalf("an error without a place: %v", err)
	}
}

// Whatever is accepted becomes a plan over columns of the contracts and values of their
// domains, and costs something.
func FuzzParseQuery(f *testing.F) {
	h := newHouse(f)
	scope := scopeOf(h)
	for _, seed := range []string{
		reachQuery, `{"room": "r1", "template": "a@1", "values": {"x": ["y"]}, "purpose": "p"}`,
		`{"room":"r1","from":[{"dataset":"brand.segments","as":"s"}],"metrics":[{"fn":"avg","col":"s.points","as":"a"}],"group_by":["s.segment"],"where":[{"col":"s.segment","op":"=","val":"gold"}],"privacy":{"noise_people":100,"max_groups_per_person":2},"purpose":"campaign_measurement"}`,
		`{"room":"\ud83d\ude00","from":[{"dataset":"\u0061.b","as":"s"}]}`, `[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]`, `{"a":-0}`, `"\`, `{"room":"r1"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		query, err := cleanroom.ParseQuery(document)
		if err != nil {
			wantRefusal(t, err)
			return
		}
		if len(query.From) == 0 {
			return // the values of a template
		}
		question, err := cleanroom.NewQuestion(query, scope, true)
		if err != nil {
			wantRefusal(t, err)
			return
		}
		checkPlan(t, h, question)
		again, err := cleanroom.NewQuestion(query, scope, true)
		if err != nil || again.Digest() != question.Digest() {
			t.Fatalf("the same query is another question: %v", err)
		}
	})
}

// checkPlan holds a plan to the contracts.
func checkPlan(t *testing.T, h *house, question *cleanroom.Question) {
	t.Helper()
	plan := question.Plan(0)
	if question.Cost() < 1 || plan.MaxGroups < 1 || len(plan.Sources) == 0 {
		t.Fatalf("cost %d, %d groups, %d sources", question.Cost(), plan.MaxGroups, len(plan.Sources))
	}
	column := func(source int, slot cleanroom.Slot) *cleanroom.Column {
		t.Helper()
		for _, snapshot := range h.rooms.Snapshots {
			if snapshot.ID != plan.Sources[source].Snapshot {
				continue
			}
			c := snapshot.Prepared.Contract
			for i := range c.Columns {
				if own, _ := c.SlotOf(c.Columns[i].Name); own == slot {
					return &c.Columns[i]
				}
			}
		}
		t.Fatalf("source %d has no slot %s", source, slot)
		return nil
	}
	for i, source := range plan.Sources {
		for _, filter := range source.Filters {
			c := column(i, filter.Slot)
			first, _ := c.Encode(c.First)
			last, _ := c.Encode(c.Last)
			if c.Role == cleanroom.Measure ||
				slices.ContainsFunc(filter.Values, func(v int64) bool { return v < 0 || v >= int64(len(c.Domain)) }) ||
				(c.Type == cleanroom.Enum) != (len(filter.Values) > 0) ||
				c.Type == cleanroom.Day && (filter.Lo < first || filter.Hi > last || filter.Lo > filter.Hi) {
				t.Fatalf("filter %+v of column %s", filter, c.Name)
			}
		}
	}
	for _, key := range plan.Keys {
		if c := column(key.Source, key.Slot); c.Role != cleanroom.Dimension || key.Size != len(c.Domain) {
			t.Fatalf("key %+v of column %s", key, c.Name)
		}
	}
	for _, measure := range plan.Measures {
		c := column(measure.Source, measure.Slot)
		if c.Role != cleanroom.Measure || measure.Lo != c.Lo || measure.Hi != c.Hi || len(measure.Edges) > 0 && !slices.Equal(measure.Edges, c.Bins) {
			t.Fatalf("measure %+v of column %s", measure, c.Name)
		}
	}
}

// Whatever is accepted is written in one way, which is accepted and written the same again.
func FuzzParseContract(f *testing.F) {
	f.Add([]byte(purchasesContract))
	f.Add([]byte(segmentsContract))
	f.Fuzz(func(t *testing.T, document []byte) {
		c, err := cleanroom.ParseContract(document)
		if err != nil {
			wantRefusal(t, err)
			return
		}
		canonical, err := c.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := cleanroom.ParseContract(canonical)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := again.Canonical(); err != nil || !bytes.Equal(twice, canonical) {
			t.Fatalf("%s is written %s: %v", canonical, twice, err)
		}
	})
}

func FuzzParseTemplate(f *testing.F) {
	f.Add([]byte(reachTemplate))
	f.Fuzz(func(t *testing.T, document []byte) {
		template, err := cleanroom.ParseTemplate(document)
		if err != nil {
			wantRefusal(t, err)
			return
		}
		canonical, err := template.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		again, err := cleanroom.ParseTemplate(canonical)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := again.Canonical(); err != nil || !bytes.Equal(twice, canonical) {
			t.Fatalf("%s is written %s: %v", canonical, twice, err)
		}
	})
}

func FuzzOpenContract(f *testing.F) {
	signer, verifier := newKey(f, 1, "brand")
	signed, err := cleanroom.SignContract(mustContract(f, segmentsContract), signer)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Fuzz(func(t *testing.T, document []byte) {
		if opened, err := cleanroom.OpenContract(document, verifier); err == nil && !bytes.Equal(document, opened.Note) {
			t.Fatal("another document opens")
		}
		_, _ = cleanroom.ReadTemplate(document)
	})
}
