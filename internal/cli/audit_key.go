package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault/keydir"
)

func (a *app) auditKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "key", Short: "Print the log's public key", Args: cobra.NoArgs,
		Long: `Print the public key of the log in the form of C2SP signed notes: name+hash+key. It is
no secret: whoever checks checkpoints, certificates or exports needs it, and should get
it from you once and by a way they trust.`,
		RunE: func(*cobra.Command, []string) error {
			settings, err := a.config()
			if err != nil {
				return err
			}
			keys, err := keydir.Open(settings.Keys, keydir.Config{})
			if err != nil {
				return err
			}
			text, err := audit.FormatKey(settings.Origin, keys.LogPublicKey())
			if err != nil {
				return err
			}
			document := struct {
				Origin string `json:"origin"`
				Key    string `json:"key"`
			}{settings.Origin, text}
			return a.screen.print(document, func(w io.Writer) { _, _ = fmt.Fprintln(w, text) })
		},
	}
	a.jsonFlag(cmd)
	return cmd
}
