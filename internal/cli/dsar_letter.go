package cli

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar/letter"
)

func (a *app) dsarLetter() *cobra.Command {
	var kind, language, controller, contact, textFile string
	var html bool
	cmd := &cobra.Command{
		Use: "letter REQUEST --kind KIND", Short: "Write what the person is told about a request", Args: cobra.ExactArgs(1),
		Long: `Write what the person is told about a request: that it came (acknowledge), that it takes
longer (extend), that it was granted (fulfil), that it was denied (deny), in English,
Turkish or Czech, with the article and where to complain. A letter says what the
request says: take the step first, with mahrem dsar extend, fulfil or deny.

It names nobody; mahrem dsar show says where to send it. That the request was shown is
in the log first.`,
		Example: `  mahrem dsar letter 6f1c2d3e-4f50-4172-8394-a5b6c7d8e9f0 --kind deny \
    --controller 'Shop s.r.o.' --contact privacy@example.cz`,
	}
	flags := cmd.Flags()
	flags.StringVar(&kind, "kind", "", "what the letter tells: "+strings.Join(texts(letter.Kinds()), ", "))
	flags.StringVar(&language, "language", "", "en, tr or cs (default: that of the request)")
	flags.StringVar(&controller, "controller", "", "who answers, on one line")
	flags.StringVar(&contact, "contact", "", "how they are reached, on one to six lines")
	flags.StringVar(&textFile, "text-file", "", "file with what you add in your own words; - reads it from stdin")
	flags.BoolVar(&html, "html", false, "write a page to print instead of plain text")
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := parseRequest(args[0])
		if err != nil {
			return err
		}
		what, err := letter.ParseKind(kind)
		if err != nil {
			return usagef("--kind must be one of %s", strings.Join(texts(letter.Kinds()), ", "))
		}
		if language != "" && !slices.Contains(letter.Languages(), language) {
			return usagef("--language must be en, tr or cs")
		}
		if controller == "" || contact == "" {
			return usagef("a letter needs --controller and --contact: who answers, and how they are reached")
		}
		var further []byte
		if textFile != "" {
			if further, err = a.readSmall(textFile, 16_000); err != nil {
				return err
			}
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		shown, err := house.Requests.Show(cmd.Context(), by, id)
		if err != nil {
			return ofRequest(err)
		}
		l, err := letter.Of(what, &shown.Request, shown.Steps)
		if err != nil {
			return err
		}
		l.Controller, l.Contact, l.Today, l.Further = controller, contact, time.Now(), string(further)
		if language != "" {
			l.Language = language
		}
		text, err := l.Render()
		if err != nil {
			return err
		}
		if html {
			var page bytes.Buffer
			if err := letter.HTML(&page, l.Language, text); err != nil {
				return err
			}
			text = page.String()
		}
		document := letterDocument{Request: id.String(), Kind: kind, Language: l.Language, Letter: text}
		if shown.Opened {
			document.Log = pointTo(shown.Receipt)
		}
		return a.screen.print(document, func(w io.Writer) { _, _ = io.WriteString(w, text) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// letterDocument is a letter as it is printed for machines.
type letterDocument struct {
	Request  string      `json:"request"`
	Kind     string      `json:"kind"`
	Language string      `json:"language"`
	Letter   string      `json:"letter"`
	Log      *logPointer `json:"log,omitempty"`
}
