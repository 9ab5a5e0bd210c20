package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchAudience() *cobra.Command {
	var people, rounds int
	cmd := &cobra.Command{
		Use: "audience", Short: "Measure audiences against SQL by hand", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, whole audiences
(policies, search, pseudonyms in order, digest, durable log entry) and a statement by hand
that finds the same people over columns in clear, in alternating rounds, and print both
times and their ratio. The people are copies of a few models, written straight into the
tables; a million take some minutes.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			collectLess() // as serve does
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			step, finish := a.benching("steps")
			report, err := bench.Audience(cmd.Context(), bench.AudienceConfig{
				Gate: house.Gate, Loader: house.Loader, OwnerURL: house.Database.URL(), People: people, Rounds: rounds,
				Refresh:  func(ctx context.Context) error { _, err := house.Refresher.RefreshAll(ctx, nil); return err },
				Progress: step,
			})
			finish()
			if err != nil {
				return err
			}
			return a.printReport(report)
		},
	}
	cmd.Flags().IntVar(&people, "people", 1_000_000, "people that are searched")
	cmd.Flags().IntVar(&rounds, "rounds", 5, "rounds of each side for each question")
	a.jsonFlag(cmd)
	return cmd
}
