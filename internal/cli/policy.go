package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
)

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Test, explain, weigh and sign the policies",
		a.policyCheck(), a.policyTable(), a.policyDiff(), a.policyMutate(),
		a.policyTest(), a.policyExplain(), a.policyEquivalence(), a.policyImpact(), a.policyBundle())
}

// policyTestDocument is the outcome of policy test.
type policyTestDocument struct {
	Revision  string     `json:"policy_revision"`
	RegoTests int        `json:"rego_tests"`
	RegoFails []string   `json:"rego_failures"`
	Cases     []caseLine `json:"cases"`
	Passed    bool       `json:"passed"`
}

type caseLine struct {
	Scenario string   `json:"scenario"`
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Failures []string `json:"failures,omitempty"`
}

func (a *app) policyTest() *cobra.Command {
	cmd := &cobra.Command{
		Use: "test", Short: "Compile the policies, run their tests and play the scenarios", Args: cobra.NoArgs,
		Long: `Compile the policies, attack them with facts that must be denied, run the tests that
stand beside the rules, and play every scenario of cases/ through the same decision
and ladder that answers queries. No database is needed. The exit code is 1 if anything
differs from what is expected.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			bundle, err := assembly.Bundle(cmd.Context(), settings.Policies)
			if err != nil {
				return err
			}
			engine, err := policies.Open(cmd.Context(), bundle, policies.Config{EvaluationLimit: settings.Patience.With(policies.EvaluationLimit)})
			if err != nil {
				return err
			}
			rego, err := policies.TestRego(cmd.Context(), bundle)
			if err != nil {
				return err
			}
			results, err := gate.RunCases(cmd.Context(), bundle, engine.Revision())
			if err != nil {
				return err
			}
			return a.printPolicyTest(engine.Revision(), rego, results)
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printPolicyTest(revision *policies.Revision, rego policies.RegoTests, results []gate.CaseResult) error {
	document := policyTestDocument{
		Revision: revision.String(), RegoTests: rego.Ran, RegoFails: append([]string{}, rego.Failed...), Cases: []caseLine{},
	}
	t := table{header: []string{"scenario", "cases", "failed", "situation"}}
	bad, failures := 0, table{}
	for i, r := range results {
		document.Cases = append(document.Cases, caseLine{r.Scenario, r.Name, r.File, r.Failures})
		if i == 0 || results[i-1].Scenario != r.Scenario {
			n, failed := 0, 0
			for _, other := range results {
				if other.Scenario == r.Scenario {
					n++
					if !other.Passed() {
						failed++
					}
				}
			}
			t.add(r.Scenario, fmt.Sprint(n), fmt.Sprint(failed), r.Situation)
		}
		if !r.Passed() {
			bad++
			failures.add(r.File, r.Name, strings.Join(r.Failures, "\n"))
		}
	}
	for _, name := range rego.Failed {
		failures.add("rego", name, "does not hold")
	}
	document.Passed = bad == 0 && len(rego.Failed) == 0
	err := a.screen.print(document, func(w io.Writer) {
		t.writeTo(w, "")
		_, _ = fmt.Fprintf(w, "\n%d cases, %d failed; %d Rego tests, %d failed; revision %s\n", len(results), bad, rego.Ran, len(rego.Failed), revision)
		if len(failures.rows) > 0 {
			_, _ = fmt.Fprintln(w)
			failures.writeTo(w, "")
		}
	})
	if err == nil && !document.Passed {
		err = fmt.Errorf("%d cases and %d Rego tests failed", bad, len(rego.Failed))
	}
	return err
}
