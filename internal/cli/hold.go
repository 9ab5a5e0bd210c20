package cli

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) holdCommand() *cobra.Command {
	return group("hold", "Set, release and list legal holds", a.holdSet(), a.holdRelease(), a.holdList())
}

// holdDocument is one hold.
type holdDocument struct {
	Hold          string      `json:"hold"`
	Scope         string      `json:"scope"`
	Reason        string      `json:"reason"`
	Authority     string      `json:"authority"`
	People        int64       `json:"people"`
	Identifiers   int64       `json:"identifiers"`
	SetAt         time.Time   `json:"set_at"`
	ReleasedAt    *time.Time  `json:"released_at,omitempty"`
	ReleaseReason string      `json:"release_reason,omitempty"`
	Log           *logPointer `json:"log,omitempty"`
}

func newHoldDocument(h dsar.Hold, receipt audit.Receipt) holdDocument {
	document := holdDocument{
		Hold: h.ID.String(), Scope: h.Scope.String(), Reason: string(h.Reason), Authority: h.Authority,
		People: h.People, Identifiers: h.Identifiers, SetAt: h.SetAt.Truncate(time.Second),
		ReleasedAt: optional(h.ReleasedAt.Truncate(time.Second)), ReleaseReason: string(h.ReleaseReason),
	}
	if h.Unreadable {
		document.Scope = "not in the catalogue"
	}
	if !receipt.IsZero() {
		leaf := receipt.LeafHash()
		document.Log = &logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}
	}
	return document
}

func (a *app) printHold(h dsar.Hold, receipt audit.Receipt) error {
	document := newHoldDocument(h, receipt)
	return a.screen.print(document, func(w io.Writer) {
		t := table{}
		t.add("hold", document.Hold)
		t.add("covers", document.Scope)
		t.add("reason", document.Reason+", "+document.Authority)
		t.add("people", fmt.Sprint(document.People))
		if document.ReleasedAt != nil {
			t.add("released", document.ReleaseReason)
		}
		t.add("log entry", fmt.Sprint(document.Log.Index))
		t.writeTo(w, "")
	})
}

// manyFlags is how a command line names several people: by identifiers of every kind.
type manyFlags struct {
	values map[privacy.IdentifierKind]*[]string
}

func (a *app) manyFlags(cmd *cobra.Command) *manyFlags {
	m := &manyFlags{values: map[privacy.IdentifierKind]*[]string{}}
	for _, kind := range privacy.IdentifierKinds() {
		m.values[kind] = cmd.Flags().StringArray(flagOf(kind), nil,
			"a "+strings.ReplaceAll(string(kind), "_", " ")+"; again for more; - reads one a line from stdin")
	}
	return m
}

// identifiers returns all that were given.
func (m *manyFlags) identifiers(stdin io.Reader) ([]privacy.Identifier, error) {
	var found []privacy.Identifier
	read := false
	for _, kind := range privacy.IdentifierKinds() {
		for _, value := range *m.values[kind] {
			if value != "-" {
				found = append(found, privacy.Identifier{Kind: kind, Value: privacy.NewPlain(value)})
				continue
			}
			if read {
				return nil, usagef("stdin can be read once only")
			}
			read = true
			lines := bufio.NewScanner(stdin)
			for lines.Scan() {
				if line := strings.TrimSpace(lines.Text()); line != "" {
					found = append(found, privacy.Identifier{Kind: kind, Value: privacy.NewPlain(line)})
				}
			}
			if err := lines.Err(); err != nil {
				return nil, fmt.Errorf("reading identifiers from stdin: %w", err)
			}
		}
	}
	if len(found) == 0 {
		return nil, usagef("name somebody by --email, --phone, --customer-number or --cookie-id")
	}
	return found, nil
}

func (a *app) holdSet() *cobra.Command {
	var category, attribute, reason, authority string
	cmd := &cobra.Command{
		Use: "set --reason REASON --authority FILE-NUMBER", Short: "Forbid to destroy what is held about people", Args: cobra.NoArgs,
		Long: `Set a legal hold. Until it is released, no erasure and no period of retention destroys
what it covers: everything, a data category, or one attribute of it. It binds everybody who
has one of the identifiers, by whichever other identifier they ask, and whoever gets one of
them later. An erasure of somebody under a hold on everything waits for its release; under a
narrower hold, what is held is kept apart and the rest is erased.

The authority is a file number, not a sentence: it must not say anything about anybody.`,
		Example: `  mahrem hold set --customer-number C-10001 --reason litigation --authority 12Cm-34/2026
  mahrem hold set --email - --category purchases --reason tax_audit --authority FU-2026/77 < people.txt`,
	}
	people := a.manyFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&category, "category", "", "data category that is held (default: everything)")
	flags.StringVar(&attribute, "attribute", "", "the one attribute of the category that is held")
	flags.StringVar(&reason, "reason", "", "one of "+words(dsar.HoldReasons()))
	flags.StringVar(&authority, "authority", "", "who ordered it, as a file number")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if reason == "" || authority == "" {
			return usagef("a hold needs --reason and --authority; see mahrem hold set --help")
		}
		identifiers, err := people.identifiers(a.stdin)
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		hold, receipt, err := house.Holds.Set(cmd.Context(), operator(), dsar.HoldRequest{
			Identifiers: identifiers, Reason: dsar.HoldReason(reason), Authority: authority,
			Scope: dsar.HoldScope{Category: privacy.DataCategory(category), Attribute: privacy.AttributeName(attribute)},
		})
		if err != nil {
			return err
		}
		if hold.People == 0 {
			a.screen.notef("nobody here has any of these identifiers; the hold binds whoever gets one")
		}
		return a.printHold(hold, receipt)
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) holdRelease() *cobra.Command {
	reason := ""
	cmd := &cobra.Command{
		Use: "release HOLD --reason REASON", Short: "End a hold, and go on with what waited for it", Args: cobra.ExactArgs(1),
		Long: `Release a legal hold. Whom it bound is forgotten. Erasures that waited for it go on: at once
if what is held about the person is still what was approved, otherwise they need a new plan.`,
		Example: `  mahrem hold release 6f1c2d3e-4f50-4172-8394-a5b6c7d8e9f0 --reason concluded`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "one of "+words(dsar.ReleaseReasons()))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := dsar.ParseHoldID(args[0])
		if err != nil || reason == "" {
			return usagef("name the hold as mahrem hold list does, and give --reason")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		hold, receipt, err := house.Holds.Release(cmd.Context(), operator(), id, dsar.ReleaseReason(reason))
		if receipt.IsZero() {
			return err
		}
		if printErr := a.printHold(hold, receipt); printErr != nil {
			return printErr
		}
		return err
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) holdList() *cobra.Command {
	all := false
	limit := 0
	cmd := &cobra.Command{
		Use: "list", Short: "List holds, the latest first", Args: cobra.NoArgs,
		Long: `List the holds in force: what each covers, why, by whose order, and how many people it binds
just now. With an identifier, those on one person.`,
		Example: `  mahrem hold list
  mahrem hold list --customer-number C-10001 --json`,
	}
	person := a.whoFlags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "also those that were released")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if limit < 1 || limit > 10000 {
			return usagef("--limit is a number from 1 to 10000")
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		filter := dsar.HoldFilter{All: all, Limit: limit}
		if person.isGiven() {
			if filter.DataSubject, err = person.resolve(cmd.Context(), house, a.stdin); err != nil {
				return err
			}
			if err := house.LogShown(cmd.Context(), operator(), filter.DataSubject); err != nil {
				return err
			}
		}
		holds, err := house.Holds.List(cmd.Context(), operator(), filter)
		if err != nil {
			return err
		}
		documents := make([]holdDocument, len(holds))
		t := table{header: []string{"hold", "covers", "reason", "authority", "people", "set", "released"}}
		for i, h := range holds {
			d := newHoldDocument(h, audit.Receipt{})
			documents[i] = d
			released := "–"
			if d.ReleasedAt != nil {
				released = d.ReleasedAt.Format(time.DateOnly) + " " + d.ReleaseReason
			}
			t.add(d.Hold, d.Scope, d.Reason, d.Authority, fmt.Sprint(d.People), d.SetAt.Format(time.DateOnly), released)
		}
		return a.screen.printList(documents, &t, "no holds")
	}
	a.jsonFlag(cmd)
	return cmd
}

// words lists the words that a flag admits.
func words[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, word := range list {
		texts[i] = string(word)
	}
	return strings.Join(texts, ", ")
}
