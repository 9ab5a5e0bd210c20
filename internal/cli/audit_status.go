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
		RunE: func(cmd *cobra.Command, _ []string) error {
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
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
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeVouched(w io.Writer, v *assembly.Vouched) {
	t := table{}
	t.add("entries", fmt.Sprint(v.Entries))
	t.add("signed", signedText(v))
	t.add("cosigned", cosignedText(v))
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
func cosignedText(v *assembly.Vouched) string {
	switch {
	case !v.Witnessed:
		return "no witnesses are named (setting witnesses)"
	case v.Cosigned == 0 && v.Demanded:
		return "no quorum yet"
	case v.Cosigned == 0:
		return "by nobody yet"
	}
	text := fmt.Sprintf("%d entries, %s, by %s", v.Cosigned, v.CosignedAt.UTC().Format(time.RFC3339), strings.Join(v.CosignedBy, ", "))
	if v.Demanded && !v.Quorum {
		text += "; the newest checkpoint has no quorum"
	}
	return text
}
