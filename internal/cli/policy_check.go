package cli

import (
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
)

func (a *app) policyCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Look at a bundle before it is put to use", Args: cobra.NoArgs,
		Long: `Look at a bundle before it is put to use: catalogue and rules compile strictly, the rules
are written as they should be, their tests pass and reach every rule, spoiled facts are
denied, and in every cell of the table holds what must always hold. No database is
needed. The exit code is 1 if anything is wrong. The scenarios are played by policy test,
the long attack is policy mutate.`,
		Example: `  mahrem policy check
  mahrem policy check --policies ./our-policies --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			bundle, err := assembly.Bundle(cmd.Context(), settings.Policies)
			if err != nil {
				return err
			}
			findings, wrong := policies.Check(cmd.Context(), bundle), false
			t := table{header: []string{"check", "verdict", "found"}}
			for _, f := range findings {
				verdict := "ok"
				if !f.OK {
					verdict, wrong = "WRONG", true
				}
				t.add(f.Check, verdict, strings.ReplaceAll(f.Detail, "; ", "\n"))
			}
			document := struct {
				Passed   bool               `json:"passed"`
				Findings []policies.Finding `json:"findings"`
			}{!wrong, findings}
			err = a.screen.print(document, func(w io.Writer) { t.writeTo(w, "") })
			if err == nil && wrong {
				err = errors.New("the bundle is not fit for use")
			}
			return err
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
