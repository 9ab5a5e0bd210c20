package cli

import (
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchPolicy() *cobra.Command {
	var only []string
	var limit time.Duration
	names := strings.Join(bench.PolicyMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "policy", Short: "Measure what a decision costs, and what changing the rules does", Args: cobra.NoArgs,
		Long: `Measure the policies: a decision that is made and one that is remembered, how many are
remembered in traffic as a shop has it, and how long the rules take to change while
others keep asking. Each figure stands beside its limit. Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range only {
				if !slices.Contains(bench.PolicyMeasurements(), name) {
					return usagef("%s is no measurement; there are %s", name, names)
				}
			}
			settings, err := a.config()
			if err != nil {
				return err
			}
			bundle, err := assembly.Bundle(cmd.Context(), settings.Policies)
			if err != nil {
				return err
			}
			collectLess() // as serve does
			progress := newBar(a.screen.err, "opening the policies", "measurements", int64(len(bench.PolicyMeasurements())))
			report, err := bench.Policy(cmd.Context(), bench.PolicyConfig{
				Bundle: bundle, Only: only, Time: limit,
				Progress: func(step string, done, total int) {
					progress.describe(step)
					progress.set(int64(done), int64(total))
				},
			})
			progress.finish()
			if err != nil {
				return err
			}
			return a.screen.print(report, func(w io.Writer) { _, _ = io.WriteString(w, report.Markdown()) })
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "measurements to make (default: all)")
	cmd.Flags().DurationVar(&limit, "time", 2*time.Second, "how long a measurement takes, roughly")
	a.jsonFlag(cmd)
	return cmd
}
