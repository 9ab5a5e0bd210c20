package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/policies"
)

func (a *app) policyMutate() *cobra.Command {
	var only string
	var files []string
	cmd := &cobra.Command{
		Use: "mutate", Short: "Attack the policies with everything malformed", Args: cobra.NoArgs,
		Long: `Attack the policies: in requests that are denied, every fact is deleted, made null and
given every other type; and so is every value of every file of the catalogue, which is
also replaced by words that name nothing. Each mutant must be refused, or leave closed
what was closed. The exit code is 1 if one opens anything. It takes a minute or two.`,
		Example: `  mahrem policy mutate
  mahrem policy mutate --only catalogue --file purposes.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			attacks := map[string]func(context.Context, *policies.Revision) (policies.Mutation, error){
				"facts": func(ctx context.Context, r *policies.Revision) (policies.Mutation, error) { return r.MutateFacts(ctx) },
				"catalogue": func(ctx context.Context, r *policies.Revision) (policies.Mutation, error) {
					return r.MutateCatalogue(ctx, files...)
				},
			}
			names := []string{"facts", "catalogue"}
			if only != "" {
				if attacks[only] == nil {
					return usagef("--only is facts or catalogue")
				}
				names = []string{only}
			}
			collectLess()
			revision, err := revisionAt(cmd.Context(), settings.Policies, settings.Patience)
			if err != nil {
				return err
			}
			t, opened := table{header: []string{"attacked", "mutants", "refused", "irrelevant", "still denied", "weakened", "opened"}}, 0
			document := struct {
				Revision string              `json:"policy_revision"`
				Attacks  []policies.Mutation `json:"attacks"`
			}{Revision: revision.String()}
			var openings []string
			for _, name := range names {
				m, err := attacks[name](cmd.Context(), revision)
				if err != nil {
					return err
				}
				t.add(m.What, fmt.Sprint(m.Mutants), fmt.Sprint(m.Refused), fmt.Sprint(m.Irrelevant), fmt.Sprint(m.Denied), fmt.Sprint(m.Weakened), fmt.Sprint(m.Opened))
				document.Attacks = append(document.Attacks, m)
				opened, openings = opened+m.Opened, append(openings, m.Openings...)
			}
			err = a.screen.print(document, func(w io.Writer) {
				t.writeTo(w, "")
				for _, opening := range openings {
					_, _ = fmt.Fprintln(w, printable(opening))
				}
			})
			if err == nil && opened > 0 {
				err = fmt.Errorf("%d mutants open something", opened)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&only, "only", "", "attack only facts or only catalogue")
	cmd.Flags().StringSliceVar(&files, "file", nil, "attack only these files of the catalogue")
	a.jsonFlag(cmd)
	return cmd
}
