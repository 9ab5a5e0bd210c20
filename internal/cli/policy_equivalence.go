package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) policyEquivalence() *cobra.Command {
	var people, questions int
	var seed uint64
	cmd := &cobra.Command{
		Use: "equivalence", Short: "Compare audiences with single queries about made-up people", Args: cobra.NoArgs,
		Long: `Make people up whose age, law, household, restriction, choices and values vary, on an
embedded PostgreSQL of its own that is removed afterwards, and ask about each of them both
ways: whether they are in an audience, which the database finds by conditions made from the
rules, and whether the gate answers a single query about them. The exit code is 1 if the
two ever differ.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			progress, title := &bar{}, ""
			report, err := bench.Equivalence(cmd.Context(), bench.EquivalenceConfig{
				Gate: house.Gate, Loader: house.Loader, Revision: house.Engine.Revision(), OwnerURL: house.Database.URL(),
				Refresh: func(ctx context.Context) error { _, err := house.Refresher.RefreshAll(ctx, nil); return err },
				People:  people, Questions: questions, Seed: seed,
				Progress: func(step string, done, total int) {
					if step != title {
						progress.finish()
						progress, title = newBar(a.screen.err, step, "questions", int64(total)), step
					}
					progress.set(int64(done), int64(total))
				},
			})
			progress.finish()
			if err != nil {
				return err
			}
			err = a.screen.print(report, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%d people, %d questions (%d found nobody), %d comparisons, %d memberships, %d differences\n",
					report.People, report.Questions, report.Empty, report.Comparisons, report.Members, report.Differences)
			})
			if err == nil && report.Differences > 0 {
				err = fmt.Errorf("%d people are answered about and not in the audience, %d the other way round", report.Missing, report.Extra)
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&people, "people", 300, "people that are made up")
	flags.IntVar(&questions, "questions", 60, "questions that are asked about each")
	flags.Uint64Var(&seed, "seed", 1, "another seed makes others up")
	a.jsonFlag(cmd)
	return cmd
}
