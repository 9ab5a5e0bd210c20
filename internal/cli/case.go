package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) caseCommand() *cobra.Command {
	return group("case", "Open, close and list the cases that recipients handle", a.caseOpen(), a.caseClose(), a.caseList())
}

// caseDocument is one case.
type caseDocument struct {
	Case      string      `json:"case"`
	Kind      string      `json:"kind,omitempty"`
	Recipient string      `json:"recipient,omitempty"`
	State     string      `json:"state"`
	OpenedAt  *time.Time  `json:"opened_at,omitempty"`
	EndsAt    *time.Time  `json:"ends_at,omitempty"`
	ClosedAt  *time.Time  `json:"closed_at,omitempty"`
	Log       *logPointer `json:"log,omitempty"`
}

func newCaseDocument(c casework.Case, at time.Time) caseDocument {
	return caseDocument{
		Case: c.ID.String(), Kind: string(c.Kind), Recipient: string(c.Recipient), State: c.State(at),
		OpenedAt: optional(c.OpenedAt), EndsAt: optional(c.EndsAt), ClosedAt: optional(c.ClosedAt),
	}
}

func (a *app) caseOpen() *cobra.Command {
	var recipient, kind string
	cmd := &cobra.Command{
		Use: "open --recipient RECIPIENT", Short: "Open a case that a recipient handles", Args: cobra.NoArgs,
		Long: `Open a case: a person's question (support) or complaint that one recipient handles.
While it is open, the recipient's queries that name it may be told what is for this case
only, such as the history of conversations. It ends by itself after 30 days.`,
		Example: `  mahrem case open --recipient support_desk --kind complaint --customer-number C-10001`,
	}
	person := a.whoFlags(cmd)
	cmd.Flags().StringVar(&recipient, "recipient", "", "who handles it, as in the catalogue")
	cmd.Flags().StringVar(&kind, "kind", string(casework.Support), "support or complaint")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if recipient == "" {
			return usagef("a case needs --recipient; see mahrem case open --help")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(privacy.RecipientID(recipient)); err != nil {
			return err
		}
		id, err := person.resolve(cmd.Context(), house, a.stdin)
		if err != nil {
			return err
		}
		opened, err := house.Cases.Open(cmd.Context(), operator(), casework.Request{
			DataSubject: id, Recipient: privacy.RecipientID(recipient), Kind: casework.Kind(kind),
		})
		if err != nil {
			return err
		}
		leaf := opened.Receipt.LeafHash()
		document := newCaseDocument(opened.Case, opened.OpenedAt)
		document.Log = &logPointer{opened.Receipt.Index(), hex.EncodeToString(leaf[:])}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			t.add("case", document.Case)
			t.add("kind", document.Kind)
			t.add("recipient", document.Recipient)
			t.add("ends", opened.EndsAt.Format(time.RFC3339))
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) caseClose() *cobra.Command {
	cmd := &cobra.Command{
		Use: "close CASE", Short: "Close a case before its time", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := casework.ParseID(args[0])
			if err != nil {
				return usagef("a case has 32 lower-case hexadecimal digits")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			receipt, err := house.Cases.Close(cmd.Context(), operator(), id)
			switch {
			case errors.Is(err, privacy.ErrConflict):
				return fmt.Errorf("the case is not open any more: %w", privacy.ErrConflict)
			case errors.Is(err, privacy.ErrNotFound):
				return fmt.Errorf("there is no such case: %w", privacy.ErrNotFound)
			case err != nil:
				return err
			}
			leaf := receipt.LeafHash()
			document := caseDocument{Case: id.String(), State: "closed", Log: &logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}}
			return a.screen.print(document, func(w io.Writer) {
				t := table{}
				t.add("case", document.Case)
				t.add("state", document.State)
				t.add("log entry", fmt.Sprint(document.Log.Index))
				t.writeTo(w, "")
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) caseList() *cobra.Command {
	var recipient string
	var filter casework.Filter
	cmd := &cobra.Command{
		Use: "list", Short: "List cases", Args: cobra.NoArgs,
		Long: fmt.Sprintf(`List open cases, the newest first and at most %d. Without a person the list names
nobody. The cases of one person are shown after the log says so.`, casework.MaxListed),
	}
	person := a.whoFlags(cmd)
	cmd.Flags().StringVar(&recipient, "recipient", "", "only those that this recipient handles")
	cmd.Flags().BoolVar(&filter.All, "all", false, "also those that were closed or have ended")
	cmd.RunE = a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
		if filter.Recipient = privacy.RecipientID(recipient); recipient != "" {
			if err := house.CheckRecipient(filter.Recipient); err != nil {
				return err
			}
		}
		if person.isGiven() {
			found, err := person.resolve(cmd.Context(), house, a.stdin)
			if err != nil {
				return err
			}
			filter.DataSubject = found
		}
		cases, at, err := house.Cases.List(cmd.Context(), filter)
		if err != nil {
			return err
		}
		if person.isGiven() {
			if err := house.LogShown(cmd.Context(), operator(), filter.DataSubject); err != nil {
				return err
			}
		}
		return a.printCases(cases, at)
	})
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) printCases(cases []casework.Case, at time.Time) error {
	document := struct {
		Cases []caseDocument `json:"cases"`
	}{[]caseDocument{}}
	t := table{header: []string{"case", "kind", "recipient", "state", "opened", "ends"}}
	for _, c := range cases {
		one := newCaseDocument(c, at)
		document.Cases = append(document.Cases, one)
		t.add(one.Case, one.Kind, one.Recipient, one.State, day(c.OpenedAt), day(c.EndsAt))
	}
	return a.screen.print(document, func(w io.Writer) {
		if len(cases) == 0 {
			_, _ = fmt.Fprintln(w, "no cases")
			return
		}
		t.writeTo(w, "")
	})
}
