package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/consent/proof"
	"github.com/mahrem/mahrem/internal/assembly"
)

// verification is the document of audit verify.
type verification struct {
	Whole       bool           `json:"whole"`
	Entries     uint64         `json:"entries"`
	Begin       uint64         `json:"begin"` // those before it were archived and dropped
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
	// LastCosigned is what witnesses vouch for.
	LastCosigned assembly.LastCosigned `json:"last_cosigned"`
	// Consents is what the consent ledger looks like beside the log.
	Consents proof.Report `json:"consents"`
}

func newVerification(report audit.Report, origin string, lost []assembly.LostHead) verification {
	v := verification{
		Whole: report.Whole(), Entries: report.Size, Begin: report.Begin, Root: hex.EncodeToString(report.Root[:]), Checkpoints: report.Checkpoints,
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
	var file, anchors string
	var input verdict.Input
	var replay bool
	cmd := &cobra.Command{
		Use: "verify [DIR|URL...]", Short: "Recompute the whole log and name the first bad index", Args: cobra.ArbitraryArgs,
		Long: `Recompute every leaf hash, tile, committed root and signed checkpoint of the log from
its entries, and compare it with the checkpoint that is kept in the key directory. If
anything differs the first bad index is named, with what is wrong there. Then compare the
consent ledger with the log, both ways: every entry has its rows, or what an erasure left of
them, and every row has its entry and is what that commits to.

With a directory, which "mahrem audit export" wrote, or the address of a log that is served,
that is checked instead, without this Mahrem: nothing but the files is looked at, and
--key, --witnesses and --kept say what they are compared with. Several directories are the
parts of one log. A part alone could not be checked unless --part is given. Of a directory --replay makes every decision again, with the policy that
the entry names on the facts that it names, and compares what comes out with the entry.

The exit code is 0 if log and ledger are whole, 1 if one is broken, and 2 if it could not be checked.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"witnesses", "anchors", "checkpoint"} {
				if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" { // such as of a variable that is not set
					return usagef("--%s names no file", name)
				}
			}
			if file != "" {
				input.Kept = append(input.Kept, file)
			}
			err := a.verifyAny(cmd.Context(), args, &input, anchors, replay)
			var coded *exitError
			if err != nil && !errors.As(err, &coded) {
				err = &exitError{code: exitUsage, err: err}
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&file, "checkpoint", "", "the same as --kept")
	flags.StringArrayVar(&input.Kept, "kept", nil, "a file with a signed checkpoint that somebody kept and the log must begin with; may be repeated")
	flags.StringVar(&anchors, "anchors", "", "a file of anchors, with each of which the log must begin")
	flags.StringArrayVar(&input.Keys, "key", nil, "public key of the log, or a file with it; may be repeated")
	flags.StringVar(&input.Witnesses, "witnesses", "", "C2SP tlog-policy that says whose cosignatures the checkpoint must have")
	flags.StringVar(&input.TokenFile, "token-file", "", "file with a bearer token, for a log that is served")
	flags.BoolVar(&replay, "replay", false, "make every decision again")
	flags.BoolVar(&input.Part, "part", false, "a part of a log is enough: entries before and behind may be elsewhere")
	a.jsonFlag(cmd)
	return cmd
}

// verifyAny checks the places, or the log of this house.
func (a *app) verifyAny(ctx context.Context, places []string, input *verdict.Input, anchors string, replay bool) error {
	options, err := input.Read()
	if err != nil {
		return err
	}
	anchored, err := readAnchors(anchors)
	if err != nil {
		return err
	}
	for i := range anchored {
		options.Kept = append(options.Kept, anchored[i].Note)
	}
	if len(places) > 0 {
		return a.verifyPlaces(ctx, places, options, replay)
	}
	if replay {
		return usagef("--replay needs a directory; of this Mahrem's own decisions mahrem decision replay makes them again")
	}
	if len(input.Keys) > 0 || input.Witnesses != "" || input.TokenFile != "" {
		return usagef("--key, --witnesses and --token-file are for a directory or an address")
	}
	house, err := a.openWith(ctx, assembly.Options{Base: true})
	if err != nil {
		return err
	}
	defer a.close(house)
	if err := a.checkAnchors(house, anchors, anchored); err != nil {
		return err
	}
	return a.verify(ctx, house, options.Kept)
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
	progress = newBar(a.screen.err, "comparing consents", "rows", -1)
	v.Consents, err = house.VerifyConsents(ctx, func(done, total uint64) { progress.set(int64(done), int64(total)) })
	progress.finish()
	if err != nil {
		return err
	}
	v.LastCosigned = house.LastCosigned(ctx)
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
			if v.Begin > 0 {
				_, _ = fmt.Fprintf(w, "Entries 0 to %d were archived and dropped: only that what was kept of them leads to the checkpoints was checked. Check the archive too.\n", v.Begin-1)
			}
			if v.Unsigned > 0 {
				_, _ = fmt.Fprintf(w, "The last %d entries are not under a checkpoint yet: whoever may do everything in the database can still change them unseen.\n", v.Unsigned)
			}
			writeCosigned(w, &v.LastCosigned)
			writeConsentProof(w, &v.Consents)
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
		writeCosigned(w, &v.LastCosigned)
		writeConsentProof(w, &v.Consents)
	})
	if err == nil && !(v.Whole && v.Consents.Whole()) {
		err = exitWith(exitFailure)
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
