package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarDeny() *cobra.Command {
	var reason, note string
	var reasons []string
	for _, r := range dsar.DenialReasons() {
		reasons = append(reasons, string(r))
	}
	cmd := &cobra.Command{
		Use: "deny REQUEST --reason REASON", Short: "Deny a request, for a reason that the law has",
		Long: fmt.Sprintf(`Deny a request. The reasons are those of the Data Rights Protocol:
%s.
The article of each is that of the request's own law; a reason that this law does not
have is refused. The letter is printed by mahrem dsar letter.`, strings.Join(reasons, ", ")),
		Example: `  mahrem dsar deny 7f1c… --reason no_match`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "one of the reasons above")
	cmd.Flags().StringVar(&note, "note", "", "a note, kept sealed")
	return a.stepCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Deny(ctx, by, id, dsar.DenialReason(reason), privacy.NewPlain(note))
	})
}
