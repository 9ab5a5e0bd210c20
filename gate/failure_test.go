package gate

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// contradicting is the bundle with rules that say two things at once about people whose
// household is unknown.
func contradicting(t *testing.T) *sheet {
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
	sure == 1
}

sure := 1

sure := 2 if input.subject.household == "unknown"`, 1))
	engine, err := policies.Open(t.Context(), bundle, policies.Config{EvaluationLimit: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return newSheet(engine.Revision())
}

// TestRulesThatContradictThemselvesDeny: a decision that the rules fail to make is a
// denial with a name, for a recipient and in the data protection office.
func TestRulesThatContradictThemselvesDeny(t *testing.T) {
	t.Parallel()
	s := contradicting(t)
	shop := caseAsk{Recipient: "web_shop", Purpose: "recommendations", Channel: "web", Attributes: scenarioAttributes}
	office := caseAsk{Role: privacy.RoleDPO, Action: policies.Reidentify, Purpose: "data_subject_request", Channel: channelOffice}
	granted := caseConsent{Purpose: "recommendations", Channel: privacy.AnyChannel, Action: consent.Granted, Basis: privacy.Consent}
	for household, want := range map[string]Decision{"single": Allow, "castle": Deny} {
		for _, ask := range []caseAsk{shop, office} {
			answer, event := mustPlay(t, s, customer(household, granted), ask)
			if answer.Decision != want || len(answer.Attributes) > 0 && want == Deny {
				t.Errorf("%s, household %s: %s %v", ask.Purpose, household, answer.Decision, event.Checks)
			}
			if want == Deny && !slices.Equal(event.Checks, []string{CheckPolicy}) {
				t.Errorf("%s: the log says %q", ask.Purpose, event.Checks)
			}
			if want == Deny && ask.Action == "" && event.Kind != audit.QueryDenied {
				t.Errorf("it stands in the log as %s", event.Kind)
			}
		}
	}
}
