package policies

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/mahrem/mahrem/privacy"
)

// troubled is the built-in bundle with rules that fail for callers who point at a person
// in certain ways: by telephone they loop, by e-mail they contradict themselves.
func troubled(t *testing.T) fs.FS {
	t.Helper()
	bundle := fstest.MapFS{}
	err := fs.WalkDir(Bundle(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(Bundle(), path)
		bundle[path] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rules := bundle["rego/gate/subject.rego"]
	const known = `passed contains "subject.known" if input.subject.known == "yes"`
	if !strings.Contains(string(rules.Data), known) {
		t.Fatal("the rule is written in another way")
	}
	rules.Data = []byte(strings.Replace(string(rules.Data), known, `passed contains "subject.known" if {
	input.subject.known == "yes"
	calm
	sure == 1
}

calm if input.reference != "phone"

calm if {
	input.reference == "phone"
	count([1 | some x in numbers.range(1, 3000); some y in numbers.range(1, 3000); x * y == 0]) == 0
}

sure := 1

sure := 2 if input.reference == "email"`, 1))
	return bundle
}

// customer is somebody for whom recommendations open.
func customer(reference Reference) Facts {
	return Facts{
		Action: Personalize, Role: privacy.RoleService, Recipient: "web_shop", Purpose: "recommendations", Channel: "web",
		Reference: reference, Trigger: NoTrigger, Case: NoCase,
		Subject: SubjectFacts{Known: Yes, Age: Adult, Jurisdiction: "CZ", Restricted: No, Objected: No, Household: SharedHousehold},
		Consent: ConsentFacts{State: ConsentGranted, Explicit: No, Basis: privacy.Consent, Incentive: No},
		Grants:  nil, Categories: []privacy.DataCategory{"purchases"},
	}
}

// TestRulesThatFailDenyAndAreCounted: rules that loop, contradict themselves or break
// the evaluator down make no plan, whoever asks beside them is served, and each failure
// is counted once under its name.
func TestRulesThatFailDenyAndAreCounted(t *testing.T) {
	t.Parallel()
	engine, err := Open(t.Context(), troubled(t), Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Revision()
	if got := engine.Status().Failures; got != (Failures{}) {
		t.Fatalf("before anybody asked: %+v", got)
	}
	// What loops is cut off soon; how long the others may take on a busy machine says nothing.
	impatient := &Revision{
		digest: r.digest, identity: r.identity, catalogue: r.catalogue, verdicts: r.verdicts, reasons: r.reasons, plan: r.plan, compiler: r.compiler, modules: r.modules,
		store: r.store, required: r.required, asked: r.asked, words: r.words, memo: r.memo, memoNote: r.memoNote, failures: r.failures, limit: 200 * time.Millisecond,
	}
	var group sync.WaitGroup
	for reference, r := range map[Reference]*Revision{"phone": impatient, "email": r} {
		for range 2 {
			group.Go(func() {
				began := time.Now()
				plan, err := r.Decide(t.Context(), customer(reference))
				if !errors.Is(err, ErrPolicy) || plan.Allow || errors.Is(err, privacy.ErrUnavailable) {
					t.Errorf("%s: %+v, %v", reference, plan, err)
				}
				if took := time.Since(began); took > 2*time.Minute {
					t.Errorf("%s: it took %v", reference, took)
				}
			})
		}
	}
	group.Go(func() {
		if plan, err := r.Decide(t.Context(), customer(ByPseudonym)); err != nil || !plan.Allow {
			t.Errorf("who asks beside them: %+v, %v", plan, err)
		}
	})
	group.Wait()
	if got, want := engine.Status().Failures, (Failures{Slow: 2, Broken: 2}); got != want {
		t.Errorf("failures %+v, want %+v", got, want)
	}
	if status := r.Memo(); status.Entries > 1 {
		t.Errorf("%d plans remembered, want only the one that was made", status.Entries)
	}
}

// TestEvaluatorThatPanicsDenies breaks the evaluator itself.
func TestEvaluatorThatPanicsDenies(t *testing.T) {
	t.Parallel()
	engine, err := Open(t.Context(), Bundle(), Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Revision()
	whole := r.plan
	r.plan = rego.PreparedEvalQuery{}
	plan, err := r.Decide(t.Context(), customer(ByPseudonym))
	if !errors.Is(err, ErrPolicy) || plan.Allow {
		t.Errorf("%+v, %v", plan, err)
	}
	if got, want := engine.Status().Failures, (Failures{Panicked: 1}); got != want {
		t.Errorf("failures %+v, want %+v", got, want)
	}
	r.plan = whole
	if plan, err = r.Decide(t.Context(), customer(ByPseudonym)); err != nil || !plan.Allow {
		t.Errorf("after it was mended: %+v, %v", plan, err)
	}
}

// TestWhatFailedIsNotRemembered: what rules said before an evaluation failed is dropped.
func TestWhatFailedIsNotRemembered(t *testing.T) {
	t.Parallel()
	engine, err := Open(t.Context(), troubled(t), Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r, facts := engine.Revision(), customer("email")
	question := facts.appendQuestion(nil)
	if _, err := r.Decide(t.Context(), facts); !errors.Is(err, ErrPolicy) {
		t.Fatal(err)
	}
	r.asked.mu.RLock()
	defer r.asked.mu.RUnlock()
	if known := r.asked.questions[string(question)]; len(known) > 0 {
		t.Errorf("%d answers remembered", len(known))
	}
}

// TestQuestionsAreBounded: a caller who invents questions does not fill the memory.
func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	path := ast.MustParseRef(askedQuery)
	a := &asked{questions: map[string][]remembered{}, rules: []ast.Ref{path}}
	a.scratch.New = func() any { return &scratch{} }
	random := rand.New(rand.NewPCG(17, 18))
	for range 3 * maxQuestions {
		question := []byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())}
		s := a.open(question)
		s.Put(path, nil)

		a.close(s, question, true)
		if len(a.questions) > maxQuestions {
			t.Fatalf("%d questions remembered", len(a.questions))
		}
	}
	if len(a.questions) == 0 {
		t.Error("nothing is remembered")
	}
}
