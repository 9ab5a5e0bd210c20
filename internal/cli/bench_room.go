package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/internal/bench"
)

func (a *app) benchRoom() *cobra.Command {
	var only []string
	var round time.Duration
	var rounds, people, rows int
	names := strings.Join(bench.RoomMeasurements(), ", ")
	cmd := &cobra.Command{
		Use: "room", Short: "Measure what clean rooms cost", Args: cobra.NoArgs,
		Long: `Measure, on an embedded PostgreSQL of its own that is removed afterwards, what clean rooms
cost: finding the people that two parties have in common, under the house's key and in pair
mode; a question against its SQL by hand, in turn; and charges of one budget that many make at
the same time. Each figure stands beside its limit. In pair mode each party has a machine of
its own, so what counts is the slower one's time; less than 1,000,000 people have no limit
there. Measurements: ` + names + `.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := areMeasurements(only, bench.RoomMeasurements()); err != nil {
				return err
			}
			collectLess() // as serve does
			house, done, err := a.scratch(cmd.Context(), 0)
			if err != nil {
				return err
			}
			defer done()
			if _, err := house.Keys.EnsureRooms(); err != nil {
				return err
			}
			set, err := house.Keys.Rooms()
			if err != nil {
				return err
			}
			keys, err := match.NewKeys(set)
			if err != nil {
				return err
			}
			step, finish := a.benching("steps")
			report, err := bench.Room(cmd.Context(), bench.RoomConfig{
				OwnerURL: house.Database.URL(), Keys: keys, Executor: house.Rooms.Executor, Ledger: house.Rooms.Budgets,
				People: people, Rows: rows, Round: round, Rounds: rounds, Only: only, Progress: step,
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
	flags.DurationVar(&round, "round", 3*time.Second, "length of a round of charges")
	flags.IntVar(&people, "people", 1_000_000, "people on each of two lists that are matched")
	flags.IntVar(&rows, "rows", 5_000_000, "rows that are grouped")
	a.jsonFlag(cmd)
	return cmd
}
