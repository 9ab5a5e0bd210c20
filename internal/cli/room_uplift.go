package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
)

func (a *app) roomUplift() *cobra.Command {
	var measure string
	var ofPeople []string
	cmd := &cobra.Command{
		Use: "uplift GROUP EVERYBODY", Short: "Compare a group with everybody else, from two answers", Args: cobra.ExactArgs(2),
		Long: `Compare what the people of a group spend (or do) on average with everybody else, from two
answers of a room: GROUP is the answer about the group, such as those who got a campaign, and
EVERYBODY the one about all, both with the same sum. It reads the two files and nothing else,
and costs no budget. Everybody else are all without the group, so the group must be a part of
everybody: the same room and snapshots, and what limits everybody limits the group. What
chooses the group and is in the dataset of the sum, such as a product group of purchases,
would leave out rows of people who are in the group: that is refused, unless --of-people
says that the column is the same in all rows of a person, as a loyalty tier is. By group,
people who count in fewer groups than they are in are among everybody else of the others.

Intervals hold the true number in 95 of 100 cases at least. A difference is no effect:
whoever chose the group may have chosen those who would have bought anyway.`,
		RunE: func(_ *cobra.Command, args []string) error {
			var documents [2][]byte
			for i, path := range args {
				document, err := os.ReadFile(path)
				if err != nil {
					return &exitError{code: exitUsage, err: err}
				}
				documents[i] = document
			}
			uplifts, err := cleanroom.Uplift(documents[0], documents[1], measure, ofPeople...)
			if errors.Is(err, cleanroom.ErrNotComparable) {
				return &exitError{code: exitUsage, err: err}
			}
			if err != nil {
				return err
			}
			return a.screen.print(map[string]any{"confidence_percent": 95, "groups": uplifts}, func(w io.Writer) { printUplifts(w, uplifts) })
		},
	}
	cmd.Flags().StringVar(&measure, "measure", "", "the summed column, as owner.dataset.column (default: the only one)")
	cmd.Flags().StringSliceVar(&ofPeople, "of-people", nil, "a column, as owner.dataset.column, that is the same in all rows of a person (repeatable)")
	a.jsonFlag(cmd)
	return cmd
}

func printUplifts(w io.Writer, uplifts []cleanroom.GroupUplift) {
	t := &table{header: []string{"group", "people", "others", "average", "others' average", "uplift", "95 % interval"}}
	for _, u := range uplifts {
		name := "all"
		if len(u.Key) > 0 {
			var words []string
			for _, column := range slices.Sorted(maps.Keys(u.Key)) {
				words = append(words, u.Key[column])
			}
			name = strings.Join(words, ", ")
		}
		if u.Suppressed {
			t.add(name, "too few to tell")
			continue
		}
		number := func(n int64) string { return fmt.Sprint(n) }
		t.add(name, number(u.People), number(u.Others), number(u.Inside.Value), number(u.Outside.Value),
			fmt.Sprintf("%+d", u.Uplift.Value), fmt.Sprintf("%+d to %+d", u.Uplift.Low, u.Uplift.High))
	}
	t.writeTo(w, "")
	_, _ = io.WriteString(w, "\nA difference is no effect: whoever chose the group may have chosen those who would have\nbought anyway.\n")
}
