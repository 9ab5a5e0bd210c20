package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchConsent() *cobra.Command {
	var only []string
	var round time.Duration
	var rounds, people, ledger int
	names := strings.Join(bench.ConsentMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "consent", Short: "Measure what the consent ledger costs", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, what the
consent ledger costs: choices that are on the disk with their entries before their callers
go on, alone and with a subscriber who is told; imports; and comparing the whole ledger
with the log. Each figure stands beside its limit. Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := areMeasurements(only, bench.ConsentMeasurements()); err != nil {
				return err
			}
			collectLess() // as serve does
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			step, finish := a.benching("rounds")
			report, err := bench.Consent(cmd.Context(), bench.ConsentConfig{
				OwnerURL: house.Database.URL(), Ledger: house.ConsentLedger(), Verify: house.VerifyConsents,
				Subscribe: func(ctx context.Context) error {
					_, _, _, err := house.AddSubscriber(ctx, operator(), assembly.SubscriberOrder{
						ID: "bench", Recipient: bench.Recipient, URL: "https://bench.example/told",
					})
					return err
				},
				Round: round, Rounds: rounds, People: people, Rows: ledger, Only: only,
				Progress: step,
			})
			finish()
			if err != nil {
				return err
			}
			return a.printReport(report)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&only, "only", nil, "measurements to make (default: all)")
	flags.IntVar(&rounds, "rounds", 5, "rounds of each kind")
	flags.DurationVar(&round, "round", 3*time.Second, "length of a round")
	flags.IntVar(&people, "people", 10_000, "people who choose")
	flags.IntVar(&ledger, "ledger", 1_000_000, "rows that are imported, and then compared with the log")
	a.jsonFlag(cmd)
	return cmd
}
