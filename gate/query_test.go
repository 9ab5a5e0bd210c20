package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

func TestQueryIsValidated(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	good := func() Query {
		return Query{
			DataSubject: Ref{Pseudonym: "p"}, Purpose: "newsletter", Channel: "email",
			Attributes: []privacy.AttributeName{"first_name", "email"}, Trigger: &Trigger{OccurredAt: testTime},
		}
	}
	q := good()
	if _, err := q.validate(s); err != nil {
		t.Fatal(err)
	}
	for pointer, change := range map[string]func(*Query){
		"/data_subject":           func(q *Query) { q.DataSubject = Ref{} },
		"/data_subject/pseudonym": func(q *Query) { q.DataSubject.Pseudonym = strings.Repeat("p", 1000) },
		"/data_subject/identifier/kind": func(q *Query) {
			q.DataSubject = Ref{Identifier: privacy.Identifier{Kind: "shoe", Value: privacy.NewPlain("38")}}
		},
		"/data_subject/identifier/value": func(q *Query) { q.DataSubject = Ref{Identifier: privacy.Identifier{Kind: privacy.Email}} },
		"/purpose":                       func(q *Query) { q.Purpose = "curiosity" },
		"/channel":                       func(q *Query) { q.Channel = privacy.AnyChannel },
		"/attributes":                    func(q *Query) { q.Attributes = nil },
		"/attributes/0":                  func(q *Query) { q.Attributes[0] = "shoe_size" },
		"/attributes/1":                  func(q *Query) { q.Attributes[1] = "first_name" },
		"/trigger/occurred_at":           func(q *Query) { q.Trigger = &Trigger{} },
		"/consent_token":                 func(q *Query) { q.ConsentToken = "yesterday" },
	} {
		q := good()
		change(&q)
		_, err := q.validate(s)
		if field, ok := errors.AsType[*privacy.FieldError](err); !ok || field.Pointer != pointer || !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %v", pointer, err)
		}
	}
}

func TestPendingIsReleasedForAReceiptOnly(t *testing.T) {
	t.Parallel()
	p := Pending{Answer{Decision: Allow, Attributes: map[privacy.AttributeName]Released{"first_name": {Values: []privacy.Plain{privacy.NewPlain("Eva")}}}}}
	if answer, err := p.Release(audit.Receipt{}); !errors.Is(err, privacy.ErrUnavailable) || answer.Attributes != nil {
		t.Errorf("released without evidence: %v", err)
	}
	answer, err := p.Release(audit.Committed([16]byte{0xab}, [32]byte{}, 7))
	if err != nil || answer.DecisionID != "7-ab000000000000000000000000000000" || answer.Receipt.Index() != 7 {
		t.Errorf("decision %q, %v", answer.DecisionID, err)
	}
	text, _ := json.Marshal(p)
	if shown := fmt.Sprintf("%v %+v %#v %s", p, p, p, text); strings.Contains(shown, "Eva") {
		t.Errorf("a pending answer prints its content: %s", shown)
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	purpose := &policies.Purpose{TriggerWindow: policies.Duration{Duration: time.Hour}}
	for age, want := range map[time.Duration]policies.Freshness{
		-time.Second: policies.StaleTrigger, 0: policies.FreshTrigger, 59 * time.Minute: policies.FreshTrigger,
		time.Hour: policies.StaleTrigger, 48 * time.Hour: policies.StaleTrigger,
	} {
		if got := freshness(&Trigger{OccurredAt: testTime.Add(-age)}, purpose, testTime); got != want {
			t.Errorf("%v ago: %s, want %s", age, got, want)
		}
	}
	if got := freshness(nil, purpose, testTime); got != policies.NoTrigger {
		t.Errorf("no trigger: %s", got)
	}
	if got := freshness(&Trigger{OccurredAt: testTime}, &policies.Purpose{}, testTime); got != policies.StaleTrigger {
		t.Errorf("a purpose without a window: %s", got)
	}
}

func TestGeneralizers(t *testing.T) {
	t.Parallel()
	s := newSheet(mustRevision(t))
	edges := []int{0, 20, 50}
	for _, test := range []struct {
		g           policies.Generalizer
		value, want string // empty: withheld
	}{
		{policies.Generalizer{Function: "band", Edges: edges}, "0", "0-19"},
		{policies.Generalizer{Function: "band", Edges: edges}, "49", "20-49"},
		{policies.Generalizer{Function: "band", Edges: edges}, "50", "50+"},
		{policies.Generalizer{Function: "band", Edges: edges}, "-1", ""},
		{policies.Generalizer{Function: "band", Edges: edges}, "many", ""},
		{policies.Generalizer{Function: "age_band", Edges: []int{0, 18, 35}}, "2008-06-16", "0-17"},
		{policies.Generalizer{Function: "age_band", Edges: []int{0, 18, 35}}, "2008-06-15", "18-34"},
		{policies.Generalizer{Function: "age_band", Edges: []int{0, 18, 35}}, "15.6.2008", ""},
		{policies.Generalizer{Function: "year"}, "2008-06-15", "2008"},
		{policies.Generalizer{Function: "year"}, "2008", ""},
		{policies.Generalizer{Function: "map", Map: map[string]string{"yoga": "sports"}}, "yoga", "sports"},
		{policies.Generalizer{Function: "map", Map: map[string]string{"yoga": "sports"}}, "chess", ""},
		{policies.Generalizer{Function: "shout"}, "yoga", ""},
	} {
		got, ok := s.coarser(&test.g, item{value: privacy.NewPlain(test.value)}, testTime)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%s of %q: %q, %t, want %q", test.g.Function, test.value, got, ok, test.want)
		}
	}
	product := &policies.Generalizer{Function: "product_group"}
	for group, want := range map[string]string{"grocery.dairy": "grocery", "health.vitamins": "", "nothing": "", "pets": "pets"} {
		if got, _ := s.coarser(product, item{value: privacy.NewPlain(group), key: "g:" + group}, testTime); got != want {
			t.Errorf("department of %s: %q, want %q", group, got, want)
		}
	}
}

func TestParseCents(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"12": 1200, "12.5": 1250, "12.50": 1250, "12.509": 1250, "0.05": 5} {
		if got, ok := parseCents(text); !ok || got != want {
			t.Errorf("%q: %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", ".5", "-1", "1,50", "1e3", "12.5x", "12.345x", "9999999999999"} {
		if _, ok := parseCents(text); ok {
			t.Errorf("%q was read", text)
		}
	}
}

// TestNobodyIsOfAgeByAGuess: a birth date that was inferred, or seen on a social network,
// leaves the age unknown, on which no profiling passes.
func TestNobodyIsOfAgeByAGuess(t *testing.T) {
	t.Parallel()
	for source, want := range map[vault.Source]bool{
		vault.Declared: true, vault.Observed: true, vault.Imported: true, vault.Inferred: false, vault.Social: false,
	} {
		p := state{core: vault.Record{attributeBirth: {
			Values: []privacy.Plain{privacy.NewPlain("1990-05-01")}, Source: source, Quality: vault.Verified,
		}}}
		if _, got := p.single(attributeBirth); got != want {
			t.Errorf("a birth date that is %s counts: %t, want %t", source, got, want)
		}
	}
}
