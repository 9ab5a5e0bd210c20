package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarOpen() *cobra.Command {
	var kind, jurisdiction, language, contact, textFile, received string
	cmd := &cobra.Command{
		Use: "open --kind KIND --jurisdiction PLACE", Short: "Record a request of a data subject", Args: cobra.NoArgs,
		Long: `Record a request: access, portability, rectification, erasure, restriction, objection
or automated_decision_review. The person is named by one identifier or more; somebody
whom nobody here knows has a right to an answer too. What they wrote is sealed.

The law of the jurisdiction says by when it must be answered; mahrem dsar deadline
explains. A complaint is filed with mahrem complaint file. A request that the same person has open already, or somebody of the same
identifiers, is linked to the new one.`,
		Example: `  mahrem dsar open --kind access --jurisdiction CZ --language cs --email - --received 2026-03-05`,
	}
	person := a.whoFlags(cmd)
	acting := a.actingAs(cmd)
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "what is asked for")
	flags.StringVar(&jurisdiction, "jurisdiction", "", "where the person is: EU, CZ, DE, FR, TR, UK (UK-SCT and UK-NIR for their holidays), US-CA, BR")
	flags.StringVar(&language, "language", "en", "language of the letters: en, tr or cs")
	flags.StringVar(&contact, "contact", "", "where to answer, if not to an identifier that is known")
	flags.StringVar(&textFile, "text-file", "", "file with what the person wrote")
	flags.StringVar(&received, "received", "", "when it reached you, a day or a time; default now")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if kind == "" || jurisdiction == "" {
			return usagef("a request needs --kind and --jurisdiction; see mahrem dsar open --help")
		}
		at, err := receivedAt(received, time.Now())
		if err != nil {
			return err
		}
		identifiers, err := person.identifiers(a.stdin)
		if err != nil {
			return err
		}
		var text []byte
		if textFile != "" {
			if text, err = a.readSmall(textFile, 8000); err != nil {
				return err
			}
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		opened, err := house.Requests.Open(cmd.Context(), by, dsar.Opening{
			Kind: dsar.Kind(kind), Jurisdiction: privacy.Jurisdiction(jurisdiction), Language: language, Identifiers: identifiers,
			Contact: privacy.NewPlain(contact), Text: privacy.NewPlain(string(text)), Via: dsar.ViaCLI, ReceivedAt: at,
		})
		if err != nil {
			return ofRequest(err)
		}
		return a.printRequest(&opened.Request, opened.Receipt)
	}
	a.jsonFlag(cmd)
	return cmd
}

// receivedAt reads a time or a day. A day is its noon in UTC, which is the same day in
// every place whose law is known; today is now.
func receivedAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return time.Time{}, usagef("--received must be a day such as 2026-03-05 or a time such as 2026-03-05T09:30:00Z")
	}
	if at = at.Add(12 * time.Hour); at.After(now) && at.Sub(now) < 24*time.Hour {
		at = now
	}
	return at, nil
}
