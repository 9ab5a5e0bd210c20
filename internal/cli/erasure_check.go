package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

func (a *app) erasureCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Erase again whoever was erased, as the log says, and is back", Args: cobra.NoArgs,
		Long: `Compute the erased tag of everybody whose key is in the database and compare it with those in
the log, which outlive the entries that they stood in. Whoever is found was erased before, and came
back with an older copy of the keys or of their data: they are erased again, with
erasure.replayed in the log. The erasure ledger is not needed for it.

mahrem serve does so before it answers anything, and each day. After the restore of a whole database run
mahrem erasure replay, which also knows whose identifiers must stay out.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			progress := newBar(a.screen.err, "looking", "people", -1)
			found, err := house.EraseReturned(cmd.Context(), operator(), func(done int64) { progress.set(done, -1) })
			progress.finish()
			if err != nil {
				return err
			}
			if found.Damaged > 0 {
				a.screen.notef("%d keys do not open, so that nobody can tell whose they are; see mahrem doctor", found.Damaged)
			}
			return a.screen.print(found, func(w io.Writer) {
				if found.Erased == 0 {
					_, _ = fmt.Fprintf(w, "%d people looked at; nobody who was erased is back\n", found.People)
					return
				}
				_, _ = fmt.Fprintf(w, "%d people looked at; %d of them had been erased, and are again\n", found.People, found.Erased)
			})
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}
