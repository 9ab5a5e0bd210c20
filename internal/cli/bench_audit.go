package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchAudit() *cobra.Command {
	var only []string
	var round time.Duration
	var rounds int
	var entries uint64
	names := strings.Join(bench.AuditMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "audit", Short: "Measure what evidence costs", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, what the
transparency log costs: entries that are on the disk before their callers go on, alone,
beside an open snapshot, and together with a change; and proofs from a long log. Each figure stands beside its limit.
Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := areMeasurements(only, bench.AuditMeasurements()); err != nil {
				return err
			}
			collectLess() // as serve does
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			step, finish := a.benching("rounds")
			report, err := bench.Audit(cmd.Context(), bench.AuditConfig{
				OwnerURL: house.Database.URL(), Log: house.Log, Round: round, Rounds: rounds, Entries: entries, Only: only,
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
	flags.Uint64Var(&entries, "entries", 10_000_000, "entries of the log when proofs are measured")
	flags.DurationVar(&round, "round", 3*time.Second, "length of a round")
	a.jsonFlag(cmd)
	return cmd
}
