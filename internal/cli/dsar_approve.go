package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
)

func (a *app) dsarApprove() *cobra.Command {
	var plan string
	cmd := &cobra.Command{
		Use: "approve REQUEST --plan HASH", Short: "Approve the plan of an erasure", Args: cobra.ExactArgs(1),
		Long: `Approve exactly the plan with this hash, as mahrem dsar plan prints it. It takes two
different people, unless the setting danger_one_approver says otherwise. The second
one works under an account of their own, or names a token with --token-file.`,
	}
	cmd.Flags().StringVar(&plan, "plan", "", "the hash of the plan, 64 hexadecimal digits")
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseRequest(args[0])
		if err != nil {
			return err
		}
		hash, err := dsar.ParsePlanHash(plan)
		if err != nil {
			return usagef("--plan must be the hash of a plan, 64 hexadecimal digits in lower case, as mahrem dsar plan prints it")
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		approval, err := house.Eraser.Approve(cmd.Context(), by, id, hash)
		if err != nil {
			return ofRequest(err)
		}
		document := struct {
			Approvals int         `json:"approvals"`
			Needed    int         `json:"approvals_needed"`
			Log       *logPointer `json:"log"`
		}{approval.Approvals, approval.Needed, pointTo(approval.Receipt)}
		err = a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "approved by %d of %d\n", document.Approvals, document.Needed)
		})
		if document.Approvals >= document.Needed {
			a.screen.notef("nothing was erased; to erase: mahrem dsar erase %s", args[0])
		}
		return err
	}
	a.jsonFlag(cmd)
	return cmd
}
