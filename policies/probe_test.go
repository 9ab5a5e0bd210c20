package policies_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// TestProbeFindsWhatOpensUnasked: a purpose that opens only for people who were never
// asked is attacked like any other.
func TestProbeFindsWhatOpensUnasked(t *testing.T) {
	t.Parallel()
	bundle := patched(t, "catalogue/purposes.yaml",
		"title: {en: Statistics, tr: İstatistik, cs: Statistika}\n  marketing: false\n  explicit: false\n  actions: [personalize, audience]\n  profiling: true\n  bases: {consent: generalized, legitimate_interests: persona}",
		"title: {en: Statistics, tr: İstatistik, cs: Statistika}\n  marketing: false\n  explicit: false\n  actions: [personalize, audience]\n  profiling: true\n  bases: {legitimate_interests: persona}")
	if err := policies.New(policies.Config{EvaluationLimit: time.Minute}).Activate(t.Context(), bundle); err != nil {
		t.Fatalf("a purpose on legitimate interests alone: %v", err)
	}
	const rule, hole = `passed contains "subject.known" if input.subject.known == "yes"`, `passed contains "subject.known" if {
	input.purpose == "analytics"
}

` + "# METADATA\n# title: The person is known\n# labels:\n#   check: subject.known\n#   law: GDPR-5-1-a\n"
	file := bundle["rego/gate/subject.rego"]
	if !strings.Contains(string(file.Data), rule) {
		t.Fatal("the rule is written in another way")
	}
	file.Data = []byte(strings.Replace(string(file.Data), rule, hole+rule, 1))
	err := policies.New(policies.Config{EvaluationLimit: time.Minute}).Activate(t.Context(), bundle)
	if !errors.Is(err, privacy.ErrInvalid) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("unknown people pass for statistics: %v", err)
	}
}

// shifting is a bundle of which every file is another when it is read again.
type shifting struct {
	before, after fs.FS

	mu   sync.Mutex
	read map[string]bool
}

func (s *shifting) Open(name string) (fs.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read[name] {
		return s.after.Open(name)
	}
	s.read[name] = strings.HasSuffix(name, ".yaml")
	return s.before.Open(name)
}

// TestActivateOfABundleThatIsBeingWritten: the digest in every answer must be that of
// the catalogue that decides, even if somebody writes while it is read.
func TestActivateOfABundleThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	other := patched(t, "catalogue/purposes.yaml", "en: Greeting by name,", "en: Greeting,")
	titles := map[[32]byte]string{}
	for title, bundle := range map[string]fs.FS{"Greeting by name": policies.Bundle(), "Greeting": other} {
		digest, err := policies.BundleDigest(bundle)
		if err != nil {
			t.Fatal(err)
		}
		titles[digest] = title
	}
	engine, err := policies.Open(t.Context(), &shifting{before: policies.Bundle(), after: other, read: map[string]bool{}}, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	r := engine.Revision()
	purpose, ok := r.Catalogue().Purpose("greeting")
	if want := titles[r.Digest()]; !ok || want == "" || purpose.Title.EN != want {
		t.Errorf("the digest is of %q, the catalogue of %q", want, purpose.Title.EN)
	}
}
