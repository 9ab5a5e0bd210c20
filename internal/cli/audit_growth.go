package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
)

// maxCheckpoint bounds what is read as a checkpoint with many cosignatures.
const maxCheckpoint = 64 << 10

// growthDocument is the document of audit growth.
type growthDocument struct {
	Old  uint64 `json:"old_entries"`
	File string `json:"file,omitempty"`
	// Proof is the content of the file, where none was asked for.
	Proof string `json:"proof,omitempty"`
}

func (a *app) auditGrowth() *cobra.Command {
	var out string
	var from logSource
	cmd := &cobra.Command{
		Use: "growth CHECKPOINT", Short: "Prove that the log only grew since a checkpoint that somebody kept", Args: cobra.ExactArgs(1),
		Long: `Write a proof that the newest checkpoint of the log begins with everything that an old
one, which somebody kept in the file CHECKPOINT, committed to: nothing was taken out,
put in or changed since. The page of "mahrem audit page" checks it together with the old
checkpoint, without us. If the log is another one there is no proof, and the exit code is 1.

With --from the proof is made out of a bundle or a mirror of the log, without this house.`,
		Example: `  mahrem audit growth kept-in-march --out since-march.growth`,
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := readBounded(args[0], maxCheckpoint)
			if err != nil {
				return err
			}
			proof, err := a.growth(cmd.Context(), old, from)
			if err != nil {
				return err
			}
			content := witness.FormatRequest(proof.Old, proof.Path, proof.Checkpoint)
			d := growthDocument{Old: proof.Old, File: out}
			if out == "" {
				d.Proof = string(content)
				return a.screen.print(d, func(w io.Writer) { _, _ = w.Write(content) })
			}
			if err := writeOut(out, func(w io.Writer) error { _, err := w.Write(content); return err }); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			return a.screen.print(d, func(w io.Writer) {
				_, _ = fmt.Fprintf(w, "%s: the log begins with the %d entries of the checkpoint that was kept\n", out, d.Old)
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write the proof to this new file (default: print it)")
	from.flags(cmd)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) growth(ctx context.Context, old []byte, from logSource) (audit.Growth, error) {
	if from.given() {
		b, err := a.openSource(ctx, from)
		if err != nil {
			return audit.Growth{}, err
		}
		return b.ProveGrowth(ctx, old)
	}
	house, err := a.open(ctx)
	if err != nil {
		return audit.Growth{}, err
	}
	defer a.close(house)
	return house.Log.ProveGrowth(ctx, old)
}
