package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault/keydir"
)

func (a *app) auditKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "Print the log's public key", Args: cobra.NoArgs,
		Long: `Print the public key of the log in the form of C2SP signed notes: name+hash+key. It is
no secret: whoever checks checkpoints, certificates or exports needs it, and should get
it from you once and by a way they trust. Where a signer of its own signs the log, the
second line is the key of the house, which signs certificates, exports and reports.`,
		RunE: func(*cobra.Command, []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			keys, err := keydir.Open(settings.Keys, keydir.Config{})
			if err != nil {
				return err
			}
			own, err := audit.FormatKey(settings.Origin, keys.LogPublicKey())
			if err != nil {
				return err
			}
			text, documents := own, ""
			if file := settings.Signing.LogKey; file != "" {
				// A signer of its own has the log's key; this house signs documents alone.
				content, err := readBounded(file, 1<<16)
				if err != nil {
					return err
				}
				text, _, _ = strings.Cut(strings.TrimSpace(string(content)), "\n")
				if text != own {
					documents = own
				}
			}
			document := struct {
				Origin string `json:"origin"`
				Key    string `json:"key"`
				// Documents is the key of certificates, exports and reports, where it is another.
				Documents string `json:"documents_key,omitempty"`
			}{settings.Origin, text, documents}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, text)
				if documents != "" {
					_, _ = fmt.Fprintln(w, documents)
				}
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
