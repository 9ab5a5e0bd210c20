package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/link"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) consentWithdraw() *cobra.Command {
	var w consent.Withdrawal
	var purposes, channels []string
	var actor, jurisdiction, effective string
	cmd := &cobra.Command{
		Use: "withdraw --purpose PURPOSE", Short: "Record that a person takes consents back", Args: cobra.NoArgs,
		Long: `Record that a person takes consents back: every purpose and every channel that is named,
together or not at all. There need not be a consent, and twice is fine.

--purpose "*" is whatever stands on consent only, and whatever else the person agreed to.`,
		Example: `  mahrem consent withdraw --customer-number K-1 --purpose newsletter --purpose recommendations
  mahrem consent withdraw --email - --purpose "*"`,
	}
	person := a.whoFlags(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&purposes, "purpose", nil, `purposes, as in the catalogue; "*" is everything the person agreed to`)
	flags.StringSliceVar(&channels, "channel", []string{"*"}, `channels, as in the catalogue; "*" is every channel`)
	flags.StringVar(&w.Source, "source", "cli", "where it was said, in one lower-case word")
	flags.StringVar(&effective, "effective-at", "", "when it was said, RFC 3339 (default: now)")
	flags.StringVar(&w.NoticeVersion, "notice", "", "the text the person was shown, such as privacy-notice-7")
	flags.StringVar(&actor, "actor", "", "who said it: data_subject, guardian or agent (default: the person)")
	flags.StringVar(&w.Language, "language", "", "in which language they were asked, such as tr")
	flags.StringVar(&w.EvidenceRef, "evidence", "", "where the evidence is, such as call/2026-05-04/17")
	flags.StringVar(&jurisdiction, "jurisdiction", "", "under which law they were asked, such as TR")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if w.EffectiveAt, err = timeFlag("--effective-at", effective); err != nil {
			return err
		}
		w.Actor, w.Jurisdiction = consent.Actor(actor), privacy.Jurisdiction(jurisdiction)
		w.Purposes, w.Channels = wordsAs[privacy.Purpose](purposes), wordsAs[privacy.Channel](channels)
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if w.DataSubject, err = person.resolve(cmd.Context(), house, a.stdin); err != nil {
			return err
		}
		receipt, err := house.Consent.WithdrawAll(cmd.Context(), operator(), w)
		if err != nil {
			return err
		}
		document := struct {
			ConsentToken string      `json:"consent_token"`
			Log          *logPointer `json:"log"`
		}{receipt.Token.String(), pointTo(receipt.Receipt)}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("recorded", "withdrawn")
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.add("consent token", document.ConsentToken)
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func wordsAs[T ~string](list []string) []T {
	words := make([]T, len(list))
	for i, word := range list {
		words[i] = T(word)
	}
	return words
}

func (a *app) consentLink() *cobra.Command {
	var purposes, channels []string
	var language string
	var days int
	cmd := &cobra.Command{
		Use: "link --purpose PURPOSE", Short: "Make a link by which a person takes a consent back", Args: cobra.NoArgs,
		Long: `Make a link by which a person takes a consent back: a page with one button, without an
account. It can do nothing but withdraw what it names, works as often as somebody likes
until it ends, and is stored nowhere. The setting public_url says where it leads to.`,
		Example: `  mahrem consent link --customer-number K-1 --purpose newsletter --channel email --language tr`,
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&purposes, "purpose", nil, `purposes, as in the catalogue; "*" is everything the person agreed to`)
	flags.StringSliceVar(&channels, "channel", []string{"*"}, `channels, as in the catalogue; "*" is every channel`)
	flags.StringVar(&language, "language", "en", "language of the page: en, tr or cs")
	flags.IntVar(&days, "days", 0, "how long it works (default: two years)")
	a.aboutPerson(cmd, func(ctx context.Context, house *assembly.House, id privacy.DataSubjectID) error {
		made, err := house.Withdrawals.Make(ctx, operator(), link.Order{
			DataSubject: id, Purposes: wordsAs[privacy.Purpose](purposes), Channels: wordsAs[privacy.Channel](channels),
			Language: language, Life: time.Duration(days) * 24 * time.Hour,
		})
		if err != nil {
			return err
		}
		document := struct {
			URL       string    `json:"url"`
			ExpiresAt time.Time `json:"expires_at"`
		}{made.URL.RevealPersonalData(), made.ExpiresAt}
		return a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintln(w, document.URL)
		})
	})
	a.jsonFlag(cmd)
	return cmd
}
