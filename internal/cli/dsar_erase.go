package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// erasureDocument is an erasure as it is printed.
type erasureDocument struct {
	Erasure    string          `json:"erasure"`
	Plan       string          `json:"plan"`
	Destroyed  dsar.Counts     `json:"destroyed"`
	Withheld   []dsar.Withheld `json:"withheld"`
	Suppressed int64           `json:"suppressed"`
	Ledger     uint64          `json:"ledger_sequence"`
	ErasedAt   time.Time       `json:"erased_at"`
	SweptAt    *time.Time      `json:"swept_at,omitempty"`
	Log        logPointer      `json:"log"`
}

func newErasureDocument(r *dsar.ErasureRecord) erasureDocument {
	d := erasureDocument{
		Erasure: r.ID.String(), Plan: hex.EncodeToString(r.Plan[:]), Destroyed: r.Counts, Withheld: r.Withheld, Suppressed: r.Suppressed,
		Ledger: r.LedgerSequence, ErasedAt: r.ErasedAt, SweptAt: optional(r.SweptAt), Log: logPointer{r.LogIndex, hex.EncodeToString(r.LeafHash[:])},
	}
	if d.Withheld == nil {
		d.Withheld = []dsar.Withheld{}
	}
	return d
}

func (a *app) dsarErase() *cobra.Command {
	cmd := &cobra.Command{
		Use: "erase REQUEST...", Short: "Carry out approved erasures: forget people for good", Args: cobra.MinimumNArgs(1),
		Long: `Carry out the approved plan of a request for erasure (GDPR Article 17, KVKK Article 7):
destroy the person's key, so that no copy of their sealed data can be opened again,
and everything that leads to them. What a law or a legal hold orders to keep is kept
apart, under keys of its own. A hold on everything defers the erasure.

The erasure ledger is written first: an erasure that stands there happens, and
happens again after an older backup is restored. Run again, the command says what
was done. Several requests are erased side by side.`,
		Example: `  mahrem dsar plan 7f1c…
  mahrem dsar approve 7f1c… --plan 3ac0…
  mahrem dsar approve 7f1c… --plan 3ac0… --token-file second-officer
  mahrem dsar erase 7f1c…`,
	}
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids := make([]dsar.RequestID, len(args))
		for i, text := range args {
			id, err := parseRequest(text)
			if err != nil {
				return err
			}
			ids[i] = id
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		if len(ids) == 1 {
			record, err := house.Eraser.Erase(cmd.Context(), by, ids[0])
			if err != nil {
				return ofRequest(err)
			}
			// The key is gone. If this is interrupted, the server goes on with it.
			if _, err := house.Eraser.Sweep(cmd.Context(), record.ID, nil); err != nil {
				return err
			}
			if record, err = house.Eraser.Erasure(cmd.Context(), record.ID); err != nil {
				return err
			}
			// What waits for a processor is closed by the server, once it has answered.
			if _, err := house.CloseErasures(cmd.Context(), by, ids[0]); err != nil {
				return err
			}
			document := newErasureDocument(&record)
			err = a.screen.print(document, func(w io.Writer) { writeErasure(w, &document) })
			a.screen.notef("the certificate, for the person and for your files: mahrem certificate issue %s -o FILE", ids[0])
			return err
		}
		progress := newBar(a.screen.err, "erasing", "people", int64(len(ids)))
		var done int64
		var documents []erasureDocument
		var failed []error
		house.Eraser.EraseMany(cmd.Context(), by, ids, 0, func(o dsar.Outcome) {
			done++
			progress.set(done, int64(len(ids)))
			if o.Err != nil {
				failed = append(failed, fmt.Errorf("request %s: %w", o.Request, ofRequest(o.Err)))
				return
			}
			documents = append(documents, newErasureDocument(&o.Record))
		})
		progress.finish()
		if _, err := house.Eraser.Sweep(cmd.Context(), dsar.ErasureID{}, nil); err != nil {
			failed = append(failed, err)
		}
		if _, err := house.CloseErasures(cmd.Context(), by, dsar.RequestID{}); err != nil {
			failed = append(failed, err)
		}
		err = a.screen.print(documents, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%d people were erased\n", len(documents)) })
		return errors.Join(append(failed, err)...)
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeErasure(w io.Writer, d *erasureDocument) {
	t := table{header: []string{"destroyed", "rows"}}
	c := d.Destroyed
	for _, line := range []struct {
		what string
		n    int64
	}{
		{"key", c.Keys},
		{"identifiers", c.Identifiers},
		{"sealed records", c.Records},
		{"event chunks", c.Chunks},
		{"event fingerprints", c.Fingerprints},
		{"consent records", c.Consents},
		{"exposure records", c.Exposures},
		{"cases", c.Cases},
	} {
		t.add(line.what, fmt.Sprint(line.n))
	}
	t.writeTo(w, "")
	if len(d.Withheld) > 0 {
		_, _ = fmt.Fprintln(w)
		writeWithheld(w, "kept", d.Withheld)
	}
	_, _ = fmt.Fprintf(w, "\n%d identifiers are refused from now on; log entry %d and line %d of the erasure ledger are the evidence\n", d.Suppressed, d.Log.Index, d.Ledger)
	_, _ = fmt.Fprintf(w, "erasure %s\n", d.Erasure)
}

func (a *app) dsarReadmit() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "readmit", Short: "Let an identifier of somebody erased come back", Args: cobra.NoArgs,
		Long: fmt.Sprintf(`Let an identifier come back that an erasure has suppressed: rows that name it are
refused until then. What was erased does not come back. The reasons are %v.`, dsar.ReadmitReasons()),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why it may come back")
	person := a.whoFlags(cmd)
	acting := a.actingAs(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		identifier, err := person.identifier(a.stdin)
		if err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		receipt, err := house.Eraser.Readmit(cmd.Context(), by, identifier, dsar.ReadmitReason(reason))
		if err != nil {
			if errors.Is(err, privacy.ErrNotFound) {
				return fmt.Errorf("nobody who was erased had this %s: %w", identifier.Kind, privacy.ErrNotFound)
			}
			return err
		}
		document := struct {
			Log *logPointer `json:"log"`
		}{pointTo(receipt)}
		return a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "the identifier may come back; log entry %d\n", document.Log.Index)
		})
	}
	a.jsonFlag(cmd)
	return cmd
}
