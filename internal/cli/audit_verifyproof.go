package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/verdict"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) auditVerifyProof() *cobra.Command {
	var key, witnesses string
	cmd := &cobra.Command{
		Use: "verify-proof FILE --key KEY", Short: "Check a proof that an entry is in the log, without any connection", Args: cobra.ExactArgs(1),
		Long: `Check a proof (a C2SP tlog-proof file, as "mahrem audit prove" writes it) with the log's
public key: that the checkpoint in it is signed by the key, and that the entry in it is in
the tree that was signed. Nothing but the file and the key is needed. The exit code is 0
if the proof holds, 1 if it does not, and 2 if it could not be checked.

KEY is a file with what "mahrem audit key" prints, or that text itself. Get it from the
operator once, and by a way that you trust. With --witnesses the checkpoint must also have
the signatures of witnesses that the policy in FILE demands, and who they are is said.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if key == "" {
				return usagef("--key is missing: whose signature would count?")
			}
			content, err := readBounded(args[0], audit.MaxProof)
			if err != nil {
				return err
			}
			keys, err := keyTexts(key)
			if err != nil {
				return fmt.Errorf("--key: %w", err)
			}
			input := verdict.Input{Keys: keys, Witnesses: witnesses}
			options, err := input.Read()
			if err != nil {
				return err
			}
			proved, err := verdict.OfProof(content, options)
			if err != nil && !errors.Is(err, privacy.ErrDamaged) {
				return err
			}
			return a.printProof(proved, err)
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the public key of the log, or a file with it")
	cmd.Flags().StringVar(&witnesses, "witnesses", "", "C2SP tlog-policy that says whose cosignatures the checkpoint must have")
	a.jsonFlag(cmd)
	return cmd
}

// printProof says whether a proof holds, and of what.
func (a *app) printProof(proved verdict.Proof, fault error) error {
	if fault != nil {
		document := proofDocument{Reason: strings.TrimSuffix(fault.Error(), ": "+privacy.ErrDamaged.Error())}
		if err := a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "NOT VALID: %s. Do not rely on anything in this file.\n", document.Reason)
		}); err != nil {
			return err
		}
		return exitWith(exitFailure)
	}
	document, err := newProofDocument(proved.Proved)
	if err != nil {
		return err
	}
	document.Cosigned = proved.Witnesses()
	return a.screen.print(document, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "VALID: entry %d is in %s of %d entries, root %s\n\n%s\n",
			proved.Index, document.Origin, document.Size, document.RootHash[:16], document.Leaf)
		if len(document.Cosigned) > 0 {
			_, _ = fmt.Fprintf(w, "\nCosigned by %s.\n", strings.Join(document.Cosigned, ", "))
		}
	})
}
