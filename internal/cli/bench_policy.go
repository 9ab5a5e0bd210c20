package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/internal/bench"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/server"
)

func (a *app) benchPolicy() *cobra.Command {
	var only []string
	var limit time.Duration
	names := strings.Join(bench.PolicyMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "policy", Short: "Measure what a decision costs, and what changing the rules does", Args: cobra.NoArgs,
		Long: `Measure the policies: a decision that is made and one that is remembered, how many are
remembered in traffic as a shop has it, and how long the rules take to change while
others keep asking; and AuthZEN evaluations over HTTP on loopback, by the rules of the
certification alone and about people of an embedded PostgreSQL that is removed
afterwards. Each figure stands beside its limit. Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := areMeasurements(only, bench.PolicyMeasurements()); err != nil {
				return err
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
			access, done, err := a.benchAccess(cmd.Context(), only)
			if err != nil {
				return err
			}
			defer done()
			step, finish := a.counting("opening the policies", len(bench.PolicyMeasurements()))
			report, err := bench.Policy(cmd.Context(), bench.PolicyConfig{
				Bundle: bundle, Only: only, Time: limit, Access: access,
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
	cmd.Flags().DurationVar(&limit, "time", 2*time.Second, "how long a measurement takes, roughly")
	a.jsonFlag(cmd)
	return cmd
}

// benchAccess opens what the measurement of evaluations asks: a scratch Mahrem, and beside
// it the same server over the fixture of the certification. Nil if it is not to be made.
func (a *app) benchAccess(ctx context.Context, only []string) (*bench.AccessConfig, func(), error) {
	if len(only) > 0 && !slices.Contains(only, "authzen") {
		return nil, func() {}, nil
	}
	house, done, err := a.scratch(ctx, benchConns())
	if err != nil {
		return nil, nil, err
	}
	access, err := a.accessOf(ctx, house)
	if err != nil {
		done()
		return nil, nil, err
	}
	return access, done, nil
}

func (a *app) accessOf(ctx context.Context, house *assembly.House) (*bench.AccessConfig, error) {
	people, err := house.Server(server.Config{Log: a.logger()})
	if err != nil {
		return nil, err
	}
	conformance, err := policies.OpenConformance(ctx)
	if err != nil {
		return nil, err
	}
	minted, err := house.Tokens.Mint(privacy.Principal{ID: "bench", Role: privacy.RoleService, Recipient: bench.Recipient}, time.Hour)
	if err != nil {
		return nil, err
	}
	if _, err := house.Pseudonyms.Of(bench.Recipient); err != nil {
		return nil, err
	}
	return &bench.AccessConfig{
		Fixture: server.New(server.Services{Tokens: house.Tokens, Access: conformance}, server.Config{Log: a.logger()}),
		People:  people, Token: minted.Token, Loader: house.Loader, LogSize: house.Log.Size,
	}, nil
}
