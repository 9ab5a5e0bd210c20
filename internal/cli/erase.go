package cli

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) eraseCommand() *cobra.Command {
	var confirm string
	cmd := &cobra.Command{
		Use: "erase", Short: "Forget a person for good", Args: cobra.NoArgs,
		Long: `Forget a person for good (GDPR Article 17): destroy their key, so that no copy of
their sealed data can be opened again (unless a backup of the keys is older and still
kept), and delete every row about them, in one transaction with the log entry that
says so.

Without --confirm nothing is erased: the plan is printed, with a token. The same
command with --confirm TOKEN erases. The token is good for this person as they are
now: if anything about them has changed meanwhile, look at the new plan first.`,
	}
	cmd.Flags().StringVar(&confirm, "confirm", "", "the token that the plan printed")
	a.aboutPerson(cmd, func(ctx context.Context, house *assembly.House, id privacy.DataSubjectID) error {
		plan, err := house.PlanErasure(ctx, operator(), id)
		if err != nil {
			return err
		}
		if confirm == "" {
			if err := house.LogPlanShown(ctx, operator(), id); err != nil {
				return err
			}
			return a.printPlan(plan)
		}
		if subtle.ConstantTimeCompare([]byte(confirm), []byte(plan.Token)) != 1 {
			if err := house.LogErasureDenied(ctx, operator(), id); err != nil {
				return err
			}
			return usagef("the token does not fit this person as they are now; look at the plan again, without --confirm")
		}
		result, err := house.Eraser.Erase(ctx, operator(), id)
		if err != nil {
			return err
		}
		leaf := result.Receipt.LeafHash()
		document := struct {
			Erased any        `json:"erased"`
			Log    logPointer `json:"log"`
		}{result.Counts, logPointer{result.Receipt.Index(), hex.EncodeToString(leaf[:])}}
		return a.screen.print(document, func(w io.Writer) {
			c := result.Counts
			t := table{header: []string{"destroyed", "rows"}}
			for _, line := range []struct {
				what string
				n    int64
			}{
				{"key", c.Keys},
				{"identifiers", c.Identifiers},
				{"sealed records", c.Records},
				{"event chunks", c.Chunks},
				{"event fingerprints", c.Fingerprints},
				{"consent records", c.Consents},
				{"exposure records", c.Exposures},
			} {
				t.add(line.what, fmt.Sprint(line.n))
			}
			t.writeTo(w, "")
			_, _ = fmt.Fprintf(w, "\nlog entry %d is the evidence; nothing in the log can be linked to the person any more\n", document.Log.Index)
		})
	})
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printPlan(plan assembly.ErasurePlan) error {
	err := a.screen.print(plan, func(w io.Writer) {
		t := table{header: []string{"would be destroyed", ""}}
		t.add("key", "the only one; it exists nowhere else")
		for _, line := range plan.Holdings {
			t.add(line.What, line.Amount)
		}
		t.writeTo(w, "")
	})
	a.screen.notef("nothing was erased; to erase, repeat the command with --confirm %s", plan.Token)
	return err
}
