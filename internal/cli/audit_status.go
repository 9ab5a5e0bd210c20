package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
)

func (a *app) auditStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show who vouches for how much of the log", Args: cobra.NoArgs,
		Long: `Show how many entries the log has, how many of them the newest signed checkpoint
covers, and which witnesses have cosigned how many, when. The exit code is 1 if the log
is not the one that was signed before, if a witness knows another history of it, if
checkpoints do not come, or if they wait for their quorum for longer than witness_alarm.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			status, err := house.Vouched(cmd.Context())
			if err != nil {
				return err
			}
			if err := a.screen.print(status, func(w io.Writer) { writeVouched(w, &status) }); err != nil {
				return err
			}
			if status.Late != "" {
				return exitWith(exitFailure)
			}
			return nil
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeVouched(w io.Writer, v *assembly.Vouched) {
	t := table{}
	t.add("entries", fmt.Sprint(v.Entries))
	t.add("signed", signedText(v))
	t.add("cosigned", cosignedText(&v.Last))
	if !v.WaitingSince.IsZero() {
		t.add("waiting", "since "+v.WaitingSince.UTC().Format(time.RFC3339)+" for the quorum")
	}
	if v.Late != "" {
		t.add("ALARM", v.Late)
	}
	t.writeTo(w, "")
}

func signedText(v *assembly.Vouched) string {
	if v.Signed == 0 {
		return "nothing yet"
	}
	return fmt.Sprintf("%d entries, %s, by %s", v.Signed, v.SignedAt.UTC().Format(time.RFC3339), v.Signer)
}

// cosignedText is "last cosigned" as it stands wherever the log is shown.
func cosignedText(last *assembly.LastCosigned) string {
	text := "never"
	switch {
	case last.Unknown != "":
		return "not known: " + last.Unknown
	case !last.Named:
		text = "never, for no witnesses are named (setting witnesses)"
	case last.Entries > 0:
		text = fmt.Sprintf("%s ago (%s), %d entries, by %s", time.Duration(last.AgeSeconds)*time.Second,
			last.At.UTC().Format(time.RFC3339), last.Entries, strings.Join(last.By, ", "))
	}
	text += "; quorum: " + string(last.Quorum)
	if last.Quorum == assembly.QuorumMissing && last.Entries > 0 {
		text += ", for the newest checkpoint"
	}
	return text
}

// writeCosigned is the line below entries and verdicts.
func writeCosigned(w io.Writer, last *assembly.LastCosigned) {
	_, _ = fmt.Fprintf(w, "Last cosigned %s.\n", cosignedText(last))
}
