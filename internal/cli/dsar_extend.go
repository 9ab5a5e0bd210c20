package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarExtend() *cobra.Command {
	var reason, note string
	cmd := &cobra.Command{
		Use: "extend REQUEST --reason REASON", Short: "Take more time, where the law has it",
		Long: `Extend the period of a request, for complexity or number_of_requests. The person must
be told within the first period: an extension that comes late, or under a law that has
none, is refused with the article. The letter is printed by mahrem dsar letter.`,
		Example: `  mahrem dsar extend 7f1c… --reason complexity`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "complexity or number_of_requests")
	cmd.Flags().StringVar(&note, "note", "", "a note, kept sealed")
	return a.stepCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Extend(ctx, by, id, clock.ExtensionReason(reason), privacy.NewPlain(note))
	})
}
