package cli

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/privacy"
)

// activatedDocument is an audience in the words of the HTTP API. There is no number in it.
type activatedDocument struct {
	Room       string     `json:"room"`
	Purpose    string     `json:"purpose"`
	Pseudonyms []string   `json:"pseudonyms"`
	List       string     `json:"list_sha256"`
	Log        logPointer `json:"log"`
}

func (a *app) roomActivate() *cobra.Command {
	var recipient string
	cmd := &cobra.Command{
		Use: "activate FILE --recipient RECIPIENT", Short: "Make an audience of whom a question in a room is about", Args: cobra.ExactArgs(1),
		Long: `Make an audience of the house's own people whom a question is about, as the party that
RECIPIENT is would over HTTP: pseudonyms made for it, of those whose consent covers the
purpose that the question names. FILE holds the question, without metrics and groups; - is
stdin.

It takes about a thousand people by a noisy count, which is charged as a question is. The
list is filled with pseudonyms of nobody, so that its length is no count, and no number
comes with it.`,
		Example: `  mahrem room activate tea.json --recipient brand_partner`,
	}
	cmd.Flags().StringVar(&recipient, "recipient", "", "who gets the list, as in the catalogue (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if recipient == "" {
			return usagef("an activation needs --recipient; see mahrem room activate --help")
		}
		query, text, err := a.readQuestion(args[0])
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(privacy.RecipientID(recipient)); err != nil {
			return err
		}
		principal := operatorFor(privacy.RecipientID(recipient))
		audience, err := house.Activator().Activate(cmd.Context(), principal, query.Room, text)
		if err != nil {
			return roomRefusal(err)
		}
		leaf := audience.Receipt.LeafHash()
		document := activatedDocument{
			Room: string(query.Room), Purpose: string(audience.Purpose), Pseudonyms: make([]string, len(audience.Pseudonyms)),
			List: hex.EncodeToString(audience.Digest[:]), Log: logPointer{audience.Receipt.Index(), hex.EncodeToString(leaf[:])},
		}
		for i, name := range audience.Pseudonyms {
			document.Pseudonyms[i] = string(name)
		}
		return a.screen.print(document, func(w io.Writer) {
			for _, name := range document.Pseudonyms {
				_, _ = fmt.Fprintln(w, name)
			}
		})
	}
	a.jsonFlag(cmd)
	return cmd
}
