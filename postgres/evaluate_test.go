package postgres

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func (b *gateBench) mustEvaluate(t testing.TB, principal privacy.Principal, question gate.Question) gate.Evaluation {
	t.Helper()
	before := countEntries(t, b.db)
	e, err := b.Evaluate(t.Context(), principal, question)
	if err != nil {
		t.Fatal(err)
	}
	if e.Receipt.IsZero() || e.DecisionID == "" || countEntries(t, b.db) != before+1 {
		t.Fatal("an evaluation without evidence")
	}
	if len(e.Attributes) > 0 {
		t.Fatalf("an evaluation with values of %d attributes", len(e.Attributes))
	}
	if entry := readEntry(t, b.db, e.Receipt.Index()); (entry.Kind == audit.QueryAnswered) != (e.Decision == gate.Allow) || len(entry.Attributes) > 0 {
		t.Fatalf("a decision %q stands in the log as %s with %d attributes", e.Decision, entry.Kind, len(entry.Attributes))
	}
	return e
}

// levels are the effects without the reasons.
func levels(e gate.Evaluation) map[privacy.AttributeName]string {
	m := map[privacy.AttributeName]string{}
	for _, effect := range e.Effects {
		m[effect.Attribute] = effect.Level.String()
	}
	return m
}

// TestEvaluationSaysNothingOfValues: two people who differ in nothing but what they
// bought have the same evaluation, and the ledger of what was told stays as it was.
func TestEvaluationSaysNothingOfValues(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	engine, err := bundledPolicies()
	if err != nil {
		t.Fatal(err)
	}
	var revealing []string
	for _, inference := range engine.Revision().Catalogue().Inferences() {
		for _, g := range engine.Revision().Catalogue().Groups() {
			for _, w := range g.Weights {
				if w.Inference == inference && len(revealing) < 40 {
					revealing = append(revealing, string(g.ID))
				}
			}
		}
	}
	if len(revealing) < 10 {
		t.Fatalf("only %d groups point anywhere", len(revealing))
	}
	var evaluations []gate.Evaluation
	for _, groups := range [][]string{revealing, {"grocery.dairy"}, nil} {
		key := b.person(t, "p"+string(rune('a'+len(evaluations))), groups...)
		b.choose(t, key, consent.Granted, "recommendations")
		question := gate.Question{Query: b.groups(t, key)}
		question.Attributes = nil
		e := b.mustEvaluate(t, service("recommender"), question)
		if e.Decision != gate.Allow || e.Pseudonym != question.DataSubject.Pseudonym {
			t.Fatalf("%s, %v", e.Decision, e.Reasons)
		}
		e.Answer = apart(e.Answer)
		if e.ValidUntil.Before(time.Now()) || e.ValidUntil.After(time.Now().Add(time.Minute)) {
			t.Errorf("valid until %v", e.ValidUntil)
		}
		e.ValidUntil = time.Time{}
		evaluations = append(evaluations, e)
	}
	for _, e := range evaluations[1:] {
		if diff := cmp.Diff(evaluations[0], e, cmpopts.EquateComparable(audit.Receipt{})); diff != "" {
			t.Errorf("what somebody bought changes the evaluation:\n%s", diff)
		}
	}
	var told int
	if err := b.db.pool.QueryRow(t.Context(), `select count(*) from gate.exposure`).Scan(&told); err != nil || told != 0 {
		t.Errorf("%d rows in the exposure ledger, %v", told, err)
	}
}

func TestEvaluationEffects(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "ayse")
	question := gate.Question{Query: b.groups(t, key)}
	question.Attributes = []privacy.AttributeName{"purchases.product_groups", "location.precise", "health.pregnancy_due_month", "first_name"}
	if e := b.mustEvaluate(t, service("recommender"), question); e.Decision != gate.Deny || e.Basis != "" || !e.ValidUntil.IsZero() ||
		len(e.Reasons) != 1 || e.Reasons[0].Check != gate.CheckPerson {
		t.Errorf("without consent: %+v", e)
	} else if entry := readEntry(t, b.db, e.Receipt.Index()); !slices.Equal(entry.Checks, []string{"basis.lawful"}) {
		t.Errorf("without consent the entry names %v", entry.Checks)
	}
	b.choose(t, key, consent.Granted, "recommendations")
	e := b.mustEvaluate(t, service("recommender"), question)
	want := []gate.Effect{
		{Attribute: "first_name", Level: policies.Withheld, Reasons: []string{"attribute.category_admitted", "attribute.minimal", gate.CheckCategory}},
		{Attribute: "health.pregnancy_due_month", Level: policies.Withheld, Reasons: []string{"attribute.minimal", gate.CheckCategory}},
		{Attribute: "location.precise", Level: policies.Generalized, To: "location.city", Reasons: []string{"attribute.imprecise"}},
		{Attribute: "purchases.product_groups", Level: policies.Exact},
	}
	if diff := cmp.Diff(want, e.Effects, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	if e.Decision != gate.Allow || e.Basis != privacy.Consent || e.Reasons[0].Check != "basis.consent" {
		t.Errorf("%s on %s, %v", e.Decision, e.Basis, e.Reasons)
	}

	question.RequireAll = true
	if e := b.mustEvaluate(t, service("recommender"), question); e.Decision != gate.Deny || len(e.Effects) > 0 || e.Reasons[0].Check != gate.CheckCategory {
		t.Errorf("all are required: %+v", e)
	}
	question.Attributes = []privacy.AttributeName{"purchases.product_groups", "location.precise"}
	if e := b.mustEvaluate(t, service("recommender"), question); e.Decision != gate.Allow {
		t.Errorf("all are required, and all have an effect: %v", e.Reasons)
	}

	question.RequireAll, question.Attributes = false, []privacy.AttributeName{"first_name"}
	e = b.mustEvaluate(t, service("recommender"), question)
	if entry := readEntry(t, b.db, e.Receipt.Index()); e.Decision != gate.Deny || !slices.Equal(entry.Checks, []string{gate.CheckCategory}) {
		t.Errorf("nothing may be told: %s, the entry names %v", e.Decision, entry.Checks)
	}

	// All that the purpose admits, and nothing else.
	question.RequireAll, question.Attributes = false, nil
	all := levels(b.mustEvaluate(t, service("recommender"), question))
	if all["purchases.product_groups"] != "exact" || all["health.pregnancy_due_month"] != "withheld" || all["first_name"] != "" {
		t.Errorf("without attributes: %v", all)
	}
	question.Purpose = "marketing"
	if _, err := b.Evaluate(t.Context(), service("recommender"), question); !errors.Is(err, privacy.ErrInvalid) {
		t.Errorf("a purpose that admits nothing: %v, want ErrInvalid", err)
	}
}

// TestEvaluationDecidesLikeAQuery: whoever gets an answer to a query gets an allowance,
// and nobody else, whatever the ledger of consent says.
func TestEvaluationDecidesLikeAQuery(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "jana", "grocery.dairy")
	query := b.groups(t, key)
	var seen []gate.Decision
	for _, action := range []consent.Action{"", consent.Granted, consent.Withdrawn, consent.Granted, consent.Objected, consent.Granted, consent.Refused} {
		if action != "" {
			query.ConsentToken = b.choose(t, key, action, "recommendations").String()
		}
		answer, e := b.mustAsk(t, service("recommender"), query), b.mustEvaluate(t, service("recommender"), gate.Question{Query: query})
		if answer.Decision != e.Decision || !cmp.Equal(answer.Reasons, e.Reasons) || !cmp.Equal(answer.Obligations, e.Obligations) {
			t.Errorf("after %q: query %s %v, evaluation %s %v", action, answer.Decision, answer.Reasons, e.Decision, e.Reasons)
		}
		if a, c := readEntry(t, b.db, answer.Receipt.Index()), readEntry(t, b.db, e.Receipt.Index()); a.Facts != c.Facts || a.Policy != c.Policy {
			t.Errorf("after %q the log holds different facts", action)
		}
		seen = append(seen, e.Decision)
	}
	if !slices.Contains(seen, gate.Allow) || !slices.Contains(seen, gate.Deny) {
		t.Errorf("decisions %v", seen)
	}
	query.ConsentToken = consent.NewToken(audit.Committed([16]byte{}, [32]byte{}, 1<<40)).String()
	if _, err := b.Evaluate(t.Context(), service("recommender"), gate.Question{Query: query}); !errors.Is(err, privacy.ErrUnavailable) {
		t.Errorf("a state older than the token: %v, want ErrUnavailable", err)
	}
}

// TestEvaluationWithObligationsNotObserved: a caller that cannot do what is due is denied.
func TestEvaluationWithObligationsNotObserved(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "jana", "grocery.dairy")
	b.choose(t, key, consent.Granted, "recommendations")
	question := gate.Question{Query: b.groups(t, key)}
	due := b.mustEvaluate(t, service("recommender"), question).Obligations
	if len(due) == 0 {
		t.Fatal("nothing is due")
	}
	question.Negotiated = true
	for _, missing := range due {
		question.Observes = []policies.ObligationID{"something_else"}
		for _, o := range due {
			if o.ID != missing.ID {
				question.Observes = append(question.Observes, o.ID)
			}
		}
		e := b.mustEvaluate(t, service("recommender"), question)
		if e.Decision != gate.Deny || len(e.Obligations)+len(e.Effects) > 0 || e.Reasons[0].Check != gate.CheckObserved {
			t.Errorf("without %s: %s %v", missing.ID, e.Decision, e.Reasons)
		}
		if entry := readEntry(t, b.db, e.Receipt.Index()); !slices.Equal(entry.Checks, []string{gate.CheckObserved}) {
			t.Errorf("the entry names %v", entry.Checks)
		}
		question.Observes = append(question.Observes, missing.ID)
		if e := b.mustEvaluate(t, service("recommender"), question); e.Decision != gate.Allow {
			t.Errorf("with all of them: %v", e.Reasons)
		}
	}
}

// TestEvaluationEndsWithTheConsent: it is good for as long as what it stands on, and a
// minute at most.
func TestEvaluationEndsWithTheConsent(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	const soon = "clock_timestamp() + interval '40 seconds'"
	for name, c := range map[string]struct {
		purpose          privacy.Purpose
		effective, until string
	}{
		"the grant ends":          {"recommendations", "clock_timestamp()", soon},
		"a general choice begins": {policies.GeneralMarketing, soon, "null"},
	} {
		key := b.person(t, c.until[:4], "grocery.dairy")
		b.choose(t, key, consent.Granted, "recommendations")
		b.exec(t, `insert into consent.record (data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, notice_version, source, effective_at, valid_until)
			values ($1, gen_random_uuid(), $2, '*', 'granted', 'consent', false, 'v1', 'test', `+c.effective+`, `+c.until+`)`,
			[16]byte(key.DataSubject()), string(c.purpose))
		e := b.mustEvaluate(t, service("recommender"), gate.Question{Query: b.groups(t, key)})
		if rest := time.Until(e.ValidUntil); e.Decision != gate.Allow || rest <= 0 || rest > 40*time.Second {
			t.Errorf("%s: %s, good for %v", name, e.Decision, rest)
		}
	}
}

func TestEvaluationOfNobody(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	key := b.person(t, "jana", "grocery.dairy")
	known := b.mustEvaluate(t, service("recommender"), gate.Question{Query: b.groups(t, key)})
	query := b.groups(t, key)
	query.DataSubject.Pseudonym = "x"
	unknown := b.mustEvaluate(t, service("recommender"), gate.Question{Query: query})
	known.Answer, unknown.Answer = apart(known.Answer), apart(unknown.Answer)
	if diff := cmp.Diff(known, unknown, cmpopts.EquateComparable(audit.Receipt{})); diff != "" || known.Decision != gate.Deny {
		t.Errorf("never asked (-) and unknown (+) differ:\n%s", diff)
	}
	officer := privacy.Principal{ID: "officer", Role: privacy.RoleDPO}
	query.DataSubject = gate.Ref{Identifier: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("nobody@example.com")}}
	if _, err := b.Evaluate(t.Context(), officer, gate.Question{Query: query}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("an officer asks about nobody: %v, want ErrNotFound", err)
	}
	before := countEntries(t, b.db)
	query.Channel = "carrier_pigeon"
	if _, err := b.Evaluate(t.Context(), officer, gate.Question{Query: query}); !errors.Is(err, privacy.ErrInvalid) || countEntries(t, b.db) != before {
		t.Errorf("an unknown channel: %v", err)
	}
}
