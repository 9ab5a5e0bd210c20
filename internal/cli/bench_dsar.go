package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchDSAR() *cobra.Command {
	var only []string
	var requests, erasures int
	names := strings.Join(bench.DSARMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "dsar", Short: "Measure what answering data subjects costs", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, what answering
data subjects costs. Each figure stands beside its limit. Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := areMeasurements(only, bench.DSARMeasurements()); err != nil {
				return err
			}
			collectLess() // as serve does
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			step, finish := a.counting("opening", len(bench.DSARMeasurements()))
			report, err := bench.DSAR(cmd.Context(), bench.DSARConfig{
				OwnerURL: house.Database.URL(), Queue: house.Requests, Loader: house.Loader, Requests: requests, Only: only,
				Desk: house.Requests, Vault: house.Keys.Vault(), Erasures: erasures,
				Eraser:   func(watch func(time.Duration)) (bench.Eraser, error) { return house.WatchedEraser(watch) },
				Exporter: house.Exporter, Asker: house.Gate, Finder: house.People,
				Progress: step,
			})
			finish()
			if err != nil {
				return err
			}
			return a.printReport(report)
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "measurements to make (default: all)")
	cmd.Flags().IntVar(&requests, "requests", 100_000, "open requests in the queue")
	cmd.Flags().IntVar(&erasures, "erasures", 2000, "people who are erased side by side")
	a.jsonFlag(cmd)
	return cmd
}
