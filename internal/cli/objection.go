package cli

import (
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) objectionCommand() *cobra.Command {
	return group("objection", "Take objections to the use of personal data", a.objectionFile())
}

// openingFlags are what every way to file something takes.
type openingFlags struct{ jurisdiction, language, contact, textFile, received string }

func (a *app) openingFlags(cmd *cobra.Command) *openingFlags {
	f := &openingFlags{}
	flags := cmd.Flags()
	flags.StringVar(&f.jurisdiction, "jurisdiction", "", "where the person is: EU, CZ, DE, FR, TR, UK (UK-SCT and UK-NIR for their holidays), US-CA, BR")
	flags.StringVar(&f.language, "language", "en", "language of the letters: en, tr or cs")
	flags.StringVar(&f.contact, "contact", "", "where to answer, if not to an identifier that is known")
	flags.StringVar(&f.textFile, "text-file", "", "file with what the person wrote")
	flags.StringVar(&f.received, "received", "", "when it reached you, a day or a time; default now")
	return f
}

// opening reads the flags into a request, without its person.
func (a *app) opening(f *openingFlags) (dsar.Opening, error) {
	if f.jurisdiction == "" {
		return dsar.Opening{}, usagef("--jurisdiction is missing: the law of the place says by when there must be an answer")
	}
	at, err := receivedAt(f.received, time.Now())
	if err != nil {
		return dsar.Opening{}, err
	}
	var text []byte
	if f.textFile != "" {
		if text, err = a.readSmall(f.textFile, 8000); err != nil {
			return dsar.Opening{}, err
		}
	}
	return dsar.Opening{
		Jurisdiction: privacy.Jurisdiction(f.jurisdiction), Language: f.language, Contact: privacy.NewPlain(f.contact),
		Text: privacy.NewPlain(string(text)), Via: dsar.ViaCLI, ReceivedAt: at,
	}, nil
}

// objectionDocument is an objection as it was recorded.
type objectionDocument struct {
	requestDocument
	Purposes []objectedPurpose `json:"purposes"`
	Channel  string            `json:"channel"`
	Token    string            `json:"consent_token"`
}

type objectedPurpose struct {
	Purpose string `json:"purpose"`
	Effect  string `json:"effect"`
}

func (a *app) objectionFile() *cobra.Command {
	var purposes []string
	var channel string
	cmd := &cobra.Command{
		Use: "file --jurisdiction PLACE [--purpose PURPOSE]...", Short: "File an objection, which does at once what the law wants done at once", Args: cobra.NoArgs,
		Long: `File an objection (GDPR Article 21, KVKK Article 11). It becomes a request, which must be
answered, and does at once what the law wants done at once: an objection to marketing is in
the consent ledger when the command returns and binds the very next query; an objection to
anything else stops all use of the person's data until somebody has judged it, with mahrem
dsar object or dsar deny, and then dsar restrict --lift. Without --purpose it is an
objection to all marketing.`,
		Example: `  mahrem objection file --jurisdiction CZ --language cs --email -
  mahrem objection file --jurisdiction TR --purpose analytics --customer-number K-1`,
	}
	person := a.whoFlags(cmd)
	acting := a.actingAs(cmd)
	said := a.openingFlags(cmd)
	cmd.Flags().StringSliceVar(&purposes, "purpose", nil, "what the person objects to, several times or with commas; default all marketing")
	cmd.Flags().StringVar(&channel, "channel", string(privacy.AnyChannel), "on this channel alone; * is all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opening, err := a.opening(said)
		if err != nil {
			return err
		}
		if opening.Identifiers, err = person.identifiers(a.stdin); err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		filing := fulfil.Filing{Opening: opening, Channel: privacy.Channel(channel)}
		for _, purpose := range purposes {
			filing.Purposes = append(filing.Purposes, privacy.Purpose(purpose))
		}
		filed, err := house.Fulfil.FileObjection(cmd.Context(), by, filing)
		if err != nil {
			return ofRequest(err)
		}
		document := objectionDocument{requestDocument: newRequestDocument(&filed.Request, time.Now()), Channel: string(filed.Channel), Token: filed.Token.String()}
		document.Log = pointTo(filed.Receipt)
		for _, p := range filed.Purposes {
			document.Purposes = append(document.Purposes, objectedPurpose{string(p.Purpose), string(p.Effect)})
		}
		if filed.Request.DataSubject.IsZero() {
			a.screen.notef("nobody is known by that: the objection waits for its answer, and there is nothing yet that it could bind")
		}
		return a.screen.print(document, func(w io.Writer) {
			t := document.rows()
			for _, p := range document.Purposes {
				t.add(p.Purpose+" on "+document.Channel, p.Effect)
			}
			t.add("consent token", document.Token)
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}
