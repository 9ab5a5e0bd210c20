package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/internal/assembly"
)

// verification is the document of audit verify.
type verification struct {
	Whole       bool           `json:"whole"`
	Entries     uint64         `json:"entries"`
	Root        string         `json:"root"`
	Checkpoints uint64         `json:"checkpoints"`
	Signed      uint64         `json:"signed_entries"`
	Unsigned    uint64         `json:"entries_after_checkpoint"`
	Kept        uint64         `json:"kept_entries"`
	Origin      string         `json:"origin"`
	FirstBad    *uint64        `json:"first_bad_index,omitempty"`
	Damages     []audit.Damage `json:"damages"`
	// Restored is where the log lost its end in a restore that somebody answers for.
	Restored []assembly.LostHead `json:"restored"`
	// ClockSetBack is how many entries say that the clock was set back.
	ClockSetBack uint64 `json:"clock_set_back"`
}

func newVerification(report audit.Report, origin string, lost []assembly.LostHead) verification {
	v := verification{
		Whole: report.Whole(), Entries: report.Size, Root: hex.EncodeToString(report.Root[:]), Checkpoints: report.Checkpoints,
		Signed: report.Signed.Size, Unsigned: report.Size - min(report.Size, max(report.Signed.Size, report.Kept.Size)), Kept: report.Kept.Size, Origin: origin, Damages: report.Damages, Restored: lost,
		ClockSetBack: report.ClockSetBack,
	}
	if v.Damages == nil {
		v.Damages = []audit.Damage{}
	}
	if v.Restored == nil {
		v.Restored = []assembly.LostHead{}
	}
	if bad, found := report.FirstBad(); found {
		v.FirstBad = &bad.Index
	}
	return v
}

func (a *app) auditVerify() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "verify", Short: "Recompute the whole log and name the first bad index", Args: cobra.NoArgs,
		Long: `Recompute every leaf hash, tile, committed root and signed checkpoint of the log from
its entries, and compare it with the checkpoint that is kept in the key directory. If
anything differs the first bad index is named, with what is wrong there, and the exit
code is 4.

With --checkpoint the log is also compared with a checkpoint that somebody kept, as GET
/v1/audit/checkpoint gave it to them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var kept [][]byte
			if file != "" {
				content, err := os.ReadFile(file)
				if err != nil {
					return usagef("--checkpoint: %w", err)
				}
				kept = append(kept, content)
			}
			house, err := a.openWith(cmd.Context(), assembly.Options{Base: true})
			if err != nil {
				return err
			}
			defer a.close(house)
			return a.verify(cmd.Context(), house, kept)
		},
	}
	cmd.Flags().StringVar(&file, "checkpoint", "", "a file with a signed checkpoint that the log must begin with")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) verify(ctx context.Context, house *assembly.House, kept [][]byte) error {
	progress := newBar(a.screen.err, "verifying", "entries", -1)
	report, err := house.VerifyLog(ctx, func(done, total uint64) { progress.set(int64(done), int64(total)) }, kept...)
	progress.finish()
	if err != nil {
		return err
	}
	lost, err := house.LostHeads(report.Restored)
	if err != nil {
		return err
	}
	v := newVerification(report, house.Settings.Origin, lost)
	if v.Whole && v.Kept == 0 {
		a.screen.notef("there is no checkpoint outside the database to compare with; one that somebody kept goes after --checkpoint")
	}
	err = a.screen.print(v, func(w io.Writer) {
		writeLostHeads(w, v.Restored)
		if v.ClockSetBack > 0 {
			_, _ = fmt.Fprintf(w, "The clock was set back %d times: entries keep the order in which they were committed, and say clock.set_back where times go back.\n", v.ClockSetBack)
		}
		if v.Whole {
			_, _ = fmt.Fprintf(w, "OK, %d entries, checkpoint %s %d %s\n", v.Entries, v.Origin, v.Signed, v.Root[:16])
			if v.Unsigned > 0 {
				_, _ = fmt.Fprintf(w, "The last %d entries are not under a checkpoint yet: whoever may do everything in the database can still change them unseen.\n", v.Unsigned)
			}
			return
		}
		_, _ = fmt.Fprintf(w, "NOT WHOLE, first bad index %d\n\n", *v.FirstBad)
		t := table{header: []string{"index", "what is wrong", "detail"}}
		for _, damage := range v.Damages {
			t.add(strconv.FormatUint(damage.Index, 10), string(damage.Kind), damage.Detail)
		}
		t.writeTo(w, "")
		if report.MoreDamages > 0 {
			_, _ = fmt.Fprintf(w, "and %d more\n", report.MoreDamages)
		}
	})
	if err == nil && !v.Whole {
		err = exitWith(exitLogBroken)
	}
	return err
}

// writeLostHeads says what no proof shows: that there once was more.
func writeLostHeads(w io.Writer, lost []assembly.LostHead) {
	for _, head := range lost {
		_, _ = fmt.Fprintf(w, "RESTORED at index %d, %s: an older database was restored, and later entries were lost.\n",
			head.Index, head.Time.UTC().Format(time.RFC3339))
		if head.Size == 0 {
			_, _ = fmt.Fprintf(w, "How many is not known: %s is not there or was changed.\n", head.File)
			continue
		}
		_, _ = fmt.Fprintf(w, "The log had %d entries before, as %s proves; those from index %d on are lost.\n", head.Size, head.File, head.Index)
	}
	if len(lost) > 0 {
		_, _ = fmt.Fprintln(w)
	}
}
