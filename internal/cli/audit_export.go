package cli

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

// exportedLog is the document of audit export.
type exportedLog struct {
	Directory   string `json:"directory"`
	Origin      string `json:"origin"`
	Begin       uint64 `json:"begin"`
	Entries     uint64 `json:"entries"`
	Root        string `json:"root"`
	Checkpoints uint64 `json:"checkpoints"`
	Files       int    `json:"files"`
	Index       uint64 `json:"log_index"`
}

func (a *app) auditExport() *cobra.Command {
	var withoutFacts bool
	cmd := &cobra.Command{
		Use: "export DIR", Short: "Write a bundle for auditors, or extend one", Args: cobra.ExactArgs(1),
		Long: `Write everything that is under a signed checkpoint into a directory, in the form of C2SP
tlog-tiles: entries, tiles, checkpoints, public keys, the policies that decided and the
facts that they decided on, a page that verifies proofs in a browser, and a signed
manifest. There is no personal data in it. The log notes the export before the bundle is one.

Run again with the same directory, it adds what came since. An export that was broken
off is finished by the next. "mahrem audit verify DIR" and the program mahrem-verify check
a bundle without this Mahrem.`,
		RunE: a.inHouse(func(cmd *cobra.Command, args []string, house *assembly.House) error {
			if err := house.Log.SignCheckpoint(cmd.Context()); err != nil {
				return err
			}
			progress := newBar(a.screen.err, "exporting", "entries", -1)
			m, receipt, err := house.ExportLog(cmd.Context(), operator(), args[0], !withoutFacts, func(done, total uint64) { progress.set(int64(done), int64(total)) })
			progress.finish()
			if err != nil {
				return err
			}
			document := exportedLog{
				Directory: args[0], Origin: m.Origin, Begin: m.Begin, Entries: m.End, Root: hex.EncodeToString(m.Root[:]), Checkpoints: m.Checkpoints,
				Files: len(m.Files) + 1 + m.TreeFiles(), Index: receipt.Index(),
			}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%d entries in %d files, checkpoint %s %d %s\nLogged at index %d, behind the last of them.\n",
					document.Entries-document.Begin, document.Files, document.Origin, m.Size, document.Root[:16], document.Index)
			})
		}),
	}
	cmd.Flags().BoolVar(&withoutFacts, "without-facts", false, "leave out what decisions were made on: they can then not be made again")
	a.jsonFlag(cmd)
	return cmd
}
