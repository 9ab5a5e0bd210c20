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

func (a *app) dsarStart() *cobra.Command {
	return a.stepCommand(&cobra.Command{
		Use: "start REQUEST", Short: "Begin the work on a restriction or an objection",
		Long: `Begin the work on a request that is carried out without proof of identity: a
restriction or an objection. Every other kind begins when the person has proved who
they are: see mahrem dsar verify.`,
	}, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Start(ctx, by, id)
	})
}

func (a *app) dsarPause() *cobra.Command {
	var ground, note string
	cmd := &cobra.Command{
		Use: "pause REQUEST --ground GROUND", Short: "Stop the clock, where the law allows it",
		Long: `Stop the clock of a request while an answer of the person is waited for: identity, fee
or clarification. Where the law lets the clock run on, it is refused with the article.`,
	}
	cmd.Flags().StringVar(&ground, "ground", "", "what is waited for: identity, fee or clarification")
	cmd.Flags().StringVar(&note, "note", "", "a note, kept sealed")
	return a.stepCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Pause(ctx, by, id, clock.Ground(ground), privacy.NewPlain(note))
	})
}

func (a *app) dsarResume() *cobra.Command {
	return a.stepCommand(&cobra.Command{
		Use: "resume REQUEST", Short: "Let the clock go on",
		Long: `Let the clock of a request go on, because what was waited for has come. Proof of
identity does so by itself.`,
	}, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		return house.Requests.Resume(ctx, by, id)
	})
}
