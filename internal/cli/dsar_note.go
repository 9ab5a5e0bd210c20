package cli

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) dsarNote() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "note REQUEST --text-file FILE", Short: "Keep a note with a request, sealed",
		Long: `Keep a note with a request. It is sealed under the key of the request, and goes with it.
What is written is read from a file or from stdin: command lines end up in histories.`,
		Example: `  echo "called back, will send a form" | mahrem dsar note 7f1c… --text-file -`,
	}
	cmd.Flags().StringVar(&file, "text-file", "-", "file with the note; - reads it from stdin")
	return a.stepCommand(cmd, func(ctx context.Context, house *assembly.House, by privacy.Principal, id dsar.RequestID) (dsar.Request, audit.Receipt, error) {
		text, err := a.readSmall(file, 8000)
		if err != nil {
			return dsar.Request{}, audit.Receipt{}, err
		}
		return house.Requests.Note(ctx, by, id, privacy.NewPlain(strings.TrimSpace(string(text))))
	})
}

// parseDigest reads a SHA-256 as 64 hexadecimal digits.
func parseDigest(text string) (audit.Digest, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(audit.Digest{}) {
		return audit.Digest{}, usagef("a SHA-256 has 64 hexadecimal digits")
	}
	return audit.Digest(raw), nil
}
