package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/receipt"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) consentReceipt() *cobra.Command {
	return group("receipt", "Issue, check and print receipts of what people chose",
		a.receiptIssue(), a.receiptVerify(), a.receiptShow(), a.receiptKeys(), a.receiptRotate())
}

// issuedReceipt is the document of consent receipt issue.
type issuedReceipt struct {
	ID        string     `json:"receipt_id"`
	Format    string     `json:"format"`
	IssuedAt  time.Time  `json:"issued_at"`
	ExpiresAt time.Time  `json:"expires_at"`
	Receipt   string     `json:"receipt,omitempty"`
	File      string     `json:"file,omitempty"`
	Log       logPointer `json:"log"`
}

func (a *app) receiptIssue() *cobra.Command {
	var format, recipient, out string
	cmd := &cobra.Command{
		Use: "issue CONSENT_ID --recipient RECIPIENT", Short: "Issue a signed receipt of one choice", Args: cobra.ExactArgs(1),
		Long: `Issue a signed receipt of one choice, for the person or for whoever acts for them. It names
the person by the pseudonym of RECIPIENT. As iso27560 (ISO/IEC TS 27560, JSON-LD) it can be
of any choice, as kantara (Consent Receipt 1.1) of a consent that was given.

Who the controller is must be set: controller_name and what belongs to it.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := consent.ParseID(args[0])
			if err != nil {
				return usagef("CONSENT_ID is the id of a choice, as consent show --json prints it")
			}
			request := receipt.Request{Consent: id, Recipient: privacy.RecipientID(recipient)}
			var known bool
			if request.Format, known = receipt.ParseFormat(format); !known {
				return usagef("--format is iso27560 or kantara")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			issued, err := house.Receipts.Issue(cmd.Context(), operator(), request)
			if err != nil {
				return err
			}
			return a.printIssued(issued, out)
		},
	}
	cmd.Flags().StringVar(&format, "format", "iso27560", "iso27560 or kantara")
	cmd.Flags().StringVar(&recipient, "recipient", "", "whose pseudonym stands for the person")
	cmd.Flags().StringVarP(&out, "out", "o", "", "write the receipt to this new file")
	_ = cmd.MarkFlagRequired("recipient")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printIssued(issued receipt.Issued, out string) error {
	leaf := issued.Receipt.LeafHash()
	document := issuedReceipt{
		ID: issued.ID, Format: string(issued.Format), IssuedAt: issued.IssuedAt, ExpiresAt: issued.ExpiresAt, Receipt: issued.Token,
		Log: logPointer{issued.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	if out == "" {
		return a.screen.print(document, func(w io.Writer) { _, _ = fmt.Fprintln(w, document.Receipt) })
	}
	if err := writeNew(out, issued.Token+"\n", 0o600); err != nil {
		return usagef("--out: %w", err)
	}
	document.Receipt, document.File = "", out
	return a.screen.print(document, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "%s: receipt %s, good until %s\n", out, document.ID, document.ExpiresAt.Format(time.DateOnly))
	})
}

// verifiedReceipt is the document of consent receipt verify.
type verifiedReceipt struct {
	Valid   bool             `json:"valid"`
	Checks  []receipt.Check  `json:"checks"`
	Receipt *receipt.Receipt `json:"receipt,omitempty"`
}

func (a *app) receiptVerify() *cobra.Command {
	var jwks, issuer, at string
	cmd := &cobra.Command{
		Use: "verify FILE --jwks KEYS", Short: "Check a consent receipt, without any connection", Args: cobra.ExactArgs(1),
		Long: `Check a consent receipt with the key set of its issuer, and nothing else: that it is a
consent receipt, signed with ES256 by a key of the set, by that issuer, good today, and that
it fits its schema and says the same in every place. If a check fails it is named, and the
exit code is 1.

KEYS is a file with what GET /.well-known/jwks.json answers, or "mahrem consent receipt
keys" prints. Get it from the issuer and not from whoever gave you the receipt.`,
		RunE: func(_ *cobra.Command, args []string) error {
			token, err := readReceipt(args[0])
			if err != nil {
				return err
			}
			set, err := readBounded(jwks, receipt.MaxKeysSize)
			if err != nil {
				return err
			}
			keys, err := receipt.ParseKeys(set, issuer)
			if err != nil {
				return fmt.Errorf("--jwks: %w", err)
			}
			when, err := timeFlag("--at", at)
			if err != nil {
				return err
			}
			if when.IsZero() {
				when = time.Now()
			}
			r, checks, err := receipt.Verify(token, keys, when)
			document := verifiedReceipt{Valid: err == nil, Checks: checks, Receipt: r}
			if printErr := a.screen.print(document, func(w io.Writer) { writeReceiptChecks(w, document) }); printErr != nil {
				return printErr
			}
			if err != nil {
				return exitWith(exitFailure)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&jwks, "jwks", "", "the key set of the issuer")
	cmd.Flags().StringVar(&issuer, "issuer", "", "whose receipt it must be (default: whom the key set names)")
	cmd.Flags().StringVar(&at, "at", "", "check as of this time, RFC 3339 (default: now)")
	_ = cmd.MarkFlagRequired("jwks")
	a.jsonFlag(cmd)
	return cmd
}

// readReceipt reads a file with one receipt, which may end with a line end.
func readReceipt(path string) (string, error) {
	content, err := readBounded(path, receipt.MaxSize+2)
	if err != nil {
		return "", err
	}
	text, _ := strings.CutSuffix(string(content), "\n")
	text, _ = strings.CutSuffix(text, "\r")
	return text, nil
}

func writeReceiptChecks(w io.Writer, v verifiedReceipt) {
	t := table{header: []string{"check", "", ""}}
	for _, check := range v.Checks {
		verdict := "ok"
		if !check.Passed {
			verdict = "FAILED"
		}
		t.add(check.Name, verdict, check.Detail)
	}
	t.writeTo(w, "")
	_, _ = fmt.Fprintln(w)
	if !v.Valid {
		_, _ = fmt.Fprintln(w, "NOT VALID. Do not rely on anything in this file.")
		return
	}
	_, _ = fmt.Fprintf(w, "VALID: %s said %q about %s on channel %s at %s. When it was issued, on %s, %q held.\n",
		v.Receipt.Controller, v.Receipt.Action, v.Receipt.Purpose, v.Receipt.Channel, v.Receipt.At, v.Receipt.IssuedAt.Format(time.DateOnly), v.Receipt.State)
}

func (a *app) receiptShow() *cobra.Command {
	var language string
	cmd := &cobra.Command{
		Use: "show FILE", Short: "Print a consent receipt to read", Args: cobra.ExactArgs(1),
		Long: `Print what a consent receipt says, in English, Turkish or Czech. It is not checked: see
consent receipt verify.`,
		RunE: func(_ *cobra.Command, args []string) error {
			if !slices.Contains(receipt.Languages(), language) {
				return usagef("--language is one of %s", strings.Join(receipt.Languages(), ", "))
			}
			token, err := readReceipt(args[0])
			if err != nil {
				return err
			}
			r, err := receipt.Parse(token)
			if err != nil {
				return err
			}
			var failed error
			if err := a.screen.print(r, func(w io.Writer) { failed = receipt.WriteText(w, r, language) }); err != nil {
				return err
			}
			return failed
		},
	}
	cmd.Flags().StringVar(&language, "language", "en", strings.Join(receipt.Languages(), ", "))
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) receiptKeys() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Print the keys by which receipts are checked", Args: cobra.NoArgs,
		Long: `Print the public keys by which consent receipts are checked, as a JWK set with the name of
the issuer: what GET /.well-known/jwks.json answers. Before the first receipt it is empty.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			set, err := house.Receipts.PublicKeys()
			if err != nil {
				return err
			}
			return a.screen.print(json.RawMessage(set), func(w io.Writer) { _, _ = w.Write(set) })
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) receiptRotate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate", Short: "Sign receipts with a new key from now on", Args: cobra.NoArgs,
		Long: `Make a new key that signs consent receipts from now on, on every server that reads this key
directory. The keys before it stay in the key set, because what they signed is still good.
Back up the key directory afterwards.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			if _, err := house.Keys.ReceiptKeyset(); err != nil {
				return err
			}
			logged, err := house.Log.Append(cmd.Context(), audit.Event{Kind: audit.KeyCreated, Principal: operator(), Outcome: audit.Done})
			if err != nil {
				return err
			}
			if err := house.Keys.RotateReceiptKeyset(); err != nil {
				return err
			}
			leaf := logged.LeafHash()
			document := struct {
				Log logPointer `json:"log"`
			}{logPointer{logged.Index(), hex.EncodeToString(leaf[:])}}
			return a.screen.print(document, func(w io.Writer) {
				_, _ = fmt.Fprintln(w, "a new key signs receipts from now on; publish the key set again where you have copied it")
			})
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}
