package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarRestrict() *cobra.Command {
	var lift, informed bool
	cmd := &cobra.Command{
		Use: "restrict REQUEST [--lift --informed]", Short: "Stop all use of a person's data, or lift that again",
		Long: `Stop all processing of the person's data but keeping them (GDPR Article 18): the very next
query is denied. --lift ends it, also after the request was closed; the person must have
been told before, and --informed says that they were (Article 18(3)).`,
	}
	cmd.Flags().BoolVar(&lift, "lift", false, "lift the restriction")
	cmd.Flags().BoolVar(&informed, "informed", false, "the person was told that it will be lifted")
	return a.fulfilCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (fulfil.Done, *audience, error) {
		if informed && !lift {
			return fulfil.Done{}, nil, usagef("--informed belongs to --lift")
		}
		if lift {
			done, err := house.Fulfil.Unrestrict(ctx, by, id, informed)
			return done, nil, err
		}
		done, err := house.Fulfil.Restrict(ctx, by, id)
		return done, &audience{}, err
	})
}

func (a *app) dsarObject() *cobra.Command {
	var purpose, channel string
	cmd := &cobra.Command{
		Use: "object REQUEST --purpose PURPOSE", Short: "Record a person's objection to a purpose",
		Long: `Record the objection of a request's person in the consent ledger (GDPR Article 21), where
it binds the very next query.`,
		Example: `  mahrem dsar object 7f1c… --purpose newsletter`,
	}
	cmd.Flags().StringVar(&purpose, "purpose", "", "what the person objects to")
	cmd.Flags().StringVar(&channel, "channel", string(privacy.AnyChannel), "on this channel alone; * is all")
	return a.fulfilCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (fulfil.Done, *audience, error) {
		if purpose == "" {
			return fulfil.Done{}, nil, usagef("an objection needs --purpose; see mahrem catalogue show purposes")
		}
		done, err := house.Fulfil.Object(ctx, by, id, privacy.Purpose(purpose), privacy.Channel(channel))
		return done, nil, err
	})
}

func (a *app) dsarReview() *cobra.Command {
	var finding, file string
	cmd := &cobra.Command{
		Use: "review REQUEST --finding FINDING", Short: "Record what a human made of a machine's decision",
		Long: `Record what a human made of an automated decision (GDPR Article 22(3), KVKK Article
11(1)(g)): upheld, changed or withdrawn, with reasons, which are read from a file or stdin
and kept sealed with the request. mahrem decision show says what was decided and why.`,
	}
	cmd.Flags().StringVar(&finding, "finding", "", "upheld, changed or withdrawn")
	cmd.Flags().StringVar(&file, "text-file", "-", "file with the reasons; - reads them from stdin")
	return a.fulfilCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (fulfil.Done, *audience, error) {
		if finding == "" {
			return fulfil.Done{}, nil, usagef("a review needs --finding")
		}
		text, err := a.readSmall(file, 8000)
		if err != nil {
			return fulfil.Done{}, nil, err
		}
		done, err := house.Fulfil.Review(ctx, by, id, fulfil.Finding(finding), privacy.NewPlain(string(text)))
		return done, nil, err
	})
}
