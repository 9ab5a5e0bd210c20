package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarWithdraw() *cobra.Command {
	return a.stepCommand(&cobra.Command{
		Use: "withdraw REQUEST", Short: "Close a request that the person has taken back",
		Long: `Close a request that the person has taken back. An erasure that was carried out cannot
be taken back.`,
	}, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Withdraw(ctx, by, id)
	})
}

func (a *app) dsarFulfil() *cobra.Command {
	var evidence string
	cmd := &cobra.Command{
		Use: "fulfil REQUEST --evidence SHA256", Short: "Close a request as carried out",
		Long: `Close a request as carried out, with the SHA-256 of what was done or handed over, as 64
hexadecimal digits. An export closes its request itself.`,
	}
	cmd.Flags().StringVar(&evidence, "evidence", "", "SHA-256 of what was done or handed over")
	return a.stepCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		digest, err := parseDigest(evidence)
		if err != nil {
			return dsar.Request{}, audit.Receipt{}, err
		}
		return house.Requests.Fulfil(ctx, by, id, dsar.Evidence{Digest: digest})
	})
}
