package policies_test

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/policies"
)

// patched returns the built-in bundle with one replacement in one file.
func patched(t *testing.T, name, old, replacement string) fstest.MapFS {
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
	content := string(bundle[name].Data)
	if !strings.Contains(content, old) {
		t.Fatalf("%s does not contain %q", name, old)
	}
	bundle[name].Data = []byte(strings.Replace(content, old, replacement, 1))
	return bundle
}

func TestActivateRefusesAndKeepsTheLastGood(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, check, file, old, replacement, want string }{
		{"broken rule", policies.PolicyInvalid, "rego/plan.rego", "plan := {", "plan := [", "parsing rules"},
		{"clock", policies.PolicyInvalid, "rego/gate/subject.rego", `input.subject.known == "yes"`, `time.now_ns() > 0`, "undefined function time.now_ns"},
		{"no such fact", policies.PolicyInvalid, "rego/gate/subject.rego", "input.subject.known", "input.subject.famous", "which is no fact"},
		{"check that always passes", policies.PolicyMutation, "rego/gate/subject.rego", `input.subject.restricted == "no"`, `input.subject.known == "yes"`, "it is open although processing is restricted"},
		{"check that is not required", policies.PolicyMutation, "rego/gate/gate.rego", "\t\"subject.known\",\n", "", "it is open although"},
		{"check without law", policies.PolicyInvalid, "rego/gate/subject.rego", "#   law: GDPR-5-1-a KVKK-4-2-a\n", "", "has no title"},
		{"plan of another shape", policies.PolicyMutation, "rego/plan.rego", "\"persona\": named.purpose.persona", "\"persona\": named.purpose.trigger", "reading plan"},
		{"unknown key", policies.CatalogueInvalid, "catalogue/purposes.yaml", "profiling: true", "profilling: true", "purposes.yaml:"},
		{"unknown category", policies.CatalogueInvalid, "catalogue/purposes.yaml", "categories: {contact: exact}", "categories: {contacts: exact}", `unknown category "contacts"`},
		{"unknown channel", policies.CatalogueInvalid, "catalogue/purposes.yaml", "channels: [partner]", "channels: [pigeon]", `unknown channel "pigeon"`},
		{"profiling of youths", policies.CatalogueInvalid, "catalogue/purposes.yaml", "profiling: true\n  marketing: true\n  special: true\n  bases: {consent: exact}\n  ages: [adult]", "profiling: true\n  marketing: true\n  special: true\n  bases: {consent: exact}\n  ages: [adult, youth]", "adults only"},
		{"no place for the general objection", policies.CatalogueInvalid, "catalogue/purposes.yaml", "\nmarketing:\n", "\nadvertising:\n", `needs the purpose "marketing"`},
		{"a general objection that opens something", policies.CatalogueInvalid, "catalogue/purposes.yaml", "categories: {}", "categories: {contact: exact}", "opens nothing"},
		{"unknown group", policies.CatalogueInvalid, "catalogue/inferences.yaml", "health.pregnancy_test: 100", "health.pregnancy_tests: 100", `unknown product group "health.pregnancy_tests"`},
		{"third party with identifiers", policies.CatalogueInvalid, "catalogue/recipients.yaml", "relationship: third_party\n", "relationship: third_party\n  references: [email]\n", "pseudonym only"},
		{"twice the same key", policies.CatalogueInvalid, "catalogue/channels.yaml", "app:", "web:", "already defined"},
	}
	engine := open(t)
	good := engine.Revision()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := engine.Activate(t.Context(), patched(t, test.file, test.old, test.replacement))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one that says %q", err, test.want)
			}
			if refusal, ok := errors.AsType[*policies.Refusal](err); !ok || refusal.Check != test.check || refusal.Digest == good.Digest() {
				t.Errorf("refused with %+v, want %s", refusal, test.check)
			}
			if engine.Revision() != good || engine.Status().Refused == nil {
				t.Error("the last good revision is gone")
			}
		})
	}
}

func TestReloadUnderLoadFailsNoDecision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, policies.Bundle()); err != nil {
		t.Fatal(err)
	}
	engine, err := policies.Open(t.Context(), os.DirFS(dir), policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { _ = engine.Watch(ctx, policies.NewFileSource(dir), 5*time.Millisecond) })
	var decided, failed atomic.Int64
	group.Go(func() {
		random := rand.New(rand.NewPCG(7, 8))
		for ctx.Err() == nil {
			r := engine.Revision()
			if _, err := r.Decide(context.Background(), randomFacts(random, r.Catalogue())); err != nil {
				failed.Add(1)
			}
			decided.Add(1)
		}
	})
	// A file takes the place of another at once: half of one may stay for longer than a
	// watch waits that looks every 5 ms.
	write := func(name, text string) {
		t.Helper()
		written := filepath.Join(t.TempDir(), "written")
		if err := errors.Join(os.WriteFile(written, []byte(text), 0o600), os.Rename(written, filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		before := engine.Revision()
		write("cases/note.md", string(rune('a'+i)))
		eventually(t, "the change is active", func() bool { return engine.Revision() != before })
	}
	good := engine.Revision()
	write("rego/plan.rego", "package broken\n\nx := {")
	eventually(t, "the broken bundle is refused", func() bool { return engine.Status().Refused != nil })
	stop()
	group.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d decisions failed", failed.Load(), decided.Load())
	}
	if status := engine.Status(); engine.Revision() != good || status.Activations != 4 || decided.Load() == 0 {
		t.Errorf("%d activations, want 4; the last good revision is active: %t; %d decisions", status.Activations, engine.Revision() == good, decided.Load())
	}
}
