package postgres

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// endless is the bundle with rules that never end when somebody points at a person by
// e-mail address.
func endless(t *testing.T) fs.FS {
	t.Helper()
	bundle := fstest.MapFS{}
	err := fs.WalkDir(policies.Bundle(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(policies.Bundle(), path)
		bundle[path] = &fstest.MapFile{Data: content}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const known = `passed contains "subject.known" if input.subject.known == "yes"`
	rules := bundle["rego/gate/subject.rego"]
	if !strings.Contains(string(rules.Data), known) {
		t.Fatal("the rule is written in another way")
	}
	rules.Data = []byte(strings.Replace(string(rules.Data), known, `passed contains "subject.known" if {
	input.subject.known == "yes"
	calm
}

calm if input.reference != "email"

calm if {
	input.reference == "email"
	count([1 | some x in numbers.range(1, 9000); some y in numbers.range(1, 9000); x * y == 0]) == 0
}`, 1))
	return bundle
}

// TestRulesThatDoNotEndAreADenialInTheLog: one question runs into the limit,
// is denied without a word about the person, and stands in the log; questions beside it
// and after it are answered.
func TestRulesThatDoNotEndAreADenialInTheLog(t *testing.T) {
	t.Parallel()
	b := newGate(t)
	engine := policies.New(policies.Config{EvaluationLimit: time.Second})
	if err := engine.Activate(t.Context(), endless(t)); err != nil {
		t.Fatal(err)
	}
	b.Gate = gate.New(b.store, engine, b.keys.Vault(), keyPseudonyms{b.keys}, b.log, gate.Config{Witness: b.archive})
	key := b.person(t, "Jana", "pets")
	b.choose(t, key, consent.Granted, "recommendations")
	query := b.groups(t, key)
	query.DataSubject = gate.Ref{Pseudonym: b.pseudonym(t, "web_shop", key)}
	stuck := query
	stuck.DataSubject = gate.Ref{Identifier: privacy.Identifier{Kind: privacy.Email, Value: privacy.NewPlain("Jana@example.com")}}

	began := time.Now()
	answer := b.mustAsk(t, service("web_shop"), stuck)
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("it took %v", took)
	}
	if answer.Decision != gate.Deny || len(answer.Attributes) > 0 || len(answer.Reasons) != 1 || answer.Reasons[0].Check != gate.CheckPolicy {
		t.Errorf("rules that do not end: %+v", answer)
	}
	entry := readEntry(t, b.db, answer.Receipt.Index())
	if !slices.Equal(entry.Checks, []string{gate.CheckPolicy}) {
		t.Errorf("the log says %q", entry.Checks)
	}
	if failed := engine.Status().Failures; failed.Slow == 0 || failed.Panicked+failed.Broken > 0 {
		t.Errorf("counted %+v", failed)
	}
	// On a busy machine the limit ends a healthy question, too.
	for until := time.Now().Add(5 * time.Minute); time.Now().Before(until); {
		if answer = b.mustAsk(t, service("web_shop"), query); answer.Decision == gate.Allow {
			break
		}
	}
	if answer.Decision != gate.Allow || len(answer.Attributes) == 0 {
		t.Errorf("the next question: %+v", answer)
	}
}
