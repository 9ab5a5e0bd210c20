package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

type contractDocument struct {
	Dataset       string              `json:"dataset"`
	Version       int                 `json:"version"`
	Digest        string              `json:"digest"`
	AddedAt       *time.Time          `json:"added_at,omitempty"`
	RaisedBecause string              `json:"raised_because,omitempty"`
	Contract      *cleanroom.Contract `json:"contract"`
	Log           *logPointer         `json:"log,omitempty"`
}

func newContractDocument(f *cleanroom.FiledContract) contractDocument {
	return contractDocument{
		Dataset: f.Ref().String(), Version: f.Contract.Version, Digest: hex.EncodeToString(f.Digest[:]), AddedAt: optional(f.AddedAt),
		RaisedBecause: f.RaisedBecause, Contract: f.Contract,
	}
}

func (a *app) roomContractDraft() *cobra.Command {
	cmd := &cobra.Command{
		Use: "draft PARTY.DATASET", Short: "Print a contract to fill in", Args: cobra.ExactArgs(1),
		Long: `Print a contract with the defaults of this program and a column of each kind, to be edited by
the owner of the data. It needs no house. docs/spec/room.md says what each field means.`,
		Example: `  mahrem room contract draft brand_partner.audience > audience.json`,
		RunE: func(_ *cobra.Command, args []string) error {
			ref, err := cleanroom.ParseDatasetRef(args[0])
			if err != nil {
				return usagef("the name of a dataset is PARTY.DATASET")
			}
			document := draftContract(ref)
			text, err := json.MarshalIndent(document, "", "  ")
			if err != nil {
				return err
			}
			return a.screen.print(document, func(w io.Writer) { _, _ = fmt.Fprintf(w, "%s\n", text) })
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

// draftContract is a contract that could be signed, with what nobody knows better left at
// careful defaults: a lifetime budget of rho 0.147, which is epsilon 3 at delta one in a
// million, a quarter of it for each consumer, and a twenty-fifth for each question.
func draftContract(ref cleanroom.DatasetRef) *cleanroom.Contract {
	return &cleanroom.Contract{
		Owner: ref.Owner, Dataset: ref.Dataset, Version: 1, Source: cleanroom.FromParty, Unit: "person",
		Purposes: []privacy.Purpose{"campaign_measurement"}, MinimumPeople: 50,
		Cap: 147_000_000, ConsumerCap: 36_750_000, QueryCap: 5_880_000, MaxGroupsPerPerson: 1, AdHoc: true,
		Columns: []cleanroom.Column{
			{
				Name: "segment", Role: cleanroom.Dimension, Type: cleanroom.Enum, Category: "purchases",
				Domain: []string{"new", "regular", "other"}, Other: "other",
			},
			{
				Name: "day", Role: cleanroom.Dimension, Type: cleanroom.Day, Category: "purchases",
				First: "2026-01-01", Last: "2026-12-31", Grid: cleanroom.ByMonth,
			},
			{
				Name: "spend_minor", Role: cleanroom.Measure, Type: cleanroom.Integer, Category: "purchases",
				Lo: 0, Hi: 50_000, Functions: []cleanroom.Function{cleanroom.Sum, cleanroom.Average},
			},
		},
	}
}

func (a *app) roomContractSign() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use: "sign FILE --key FILE --out FILE", Short: "Sign a contract, as the owner of the data", Args: cobra.ExactArgs(1),
		Long: `Sign a contract with the owner's key. This happens at the owner: it needs no house, and the
key goes nowhere. What is signed is the contract alone, in one exact form; the signed note is
what mahrem room contract add takes.`,
		Example: `  mahrem room contract sign audience.json --key brand_partner.key --out audience.note`,
	}
	flags := cmd.Flags()
	flags.StringVar(&key, "key", "", "file with the secret half of the owner's key (required)")
	flags.StringVar(&out, "out", "", "file that the signed contract is written to (required)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needs(cmd, "key", "out"); err != nil {
			return err
		}
		signer, err := a.partySigner(key)
		if err != nil {
			return err
		}
		text, err := a.readSmall(args[0], cleanroom.MaximumDocument)
		if err != nil {
			return err
		}
		contract, err := cleanroom.ParseContract(text)
		if err != nil {
			return err
		}
		signed, err := cleanroom.SignContract(contract, signer)
		if err != nil {
			return err
		}
		if err := writeNew(out, string(signed), 0o644); err != nil {
			return err
		}
		document := map[string]any{"dataset": contract.Ref().String(), "version": contract.Version, "file": out}
		return a.screen.print(document, func(w io.Writer) {
			_, _ = fmt.Fprintf(w, "signed %s, version %d\n", contract.Ref(), contract.Version)
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomContractAdd() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "add FILE", Short: "File a contract that its owner has signed", Args: cobra.ExactArgs(1),
		Long: `File a contract that its owner has signed. It is checked: the signature, that it is the next
version, and whether the policies let such a dataset into a room at all. It binds from then
on, in every room. Caps that are lower bind at once; a cap that is higher needs --reason, and
what has been spent of a budget stays spent.`,
	}
	acting := a.actingAs(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why a cap is raised, without personal data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		signed, err := a.readSmall(args[0], cleanroom.MaximumDocument)
		if err != nil {
			return err
		}
		house, by, err := a.openAs(cmd.Context(), acting)
		if err != nil {
			return err
		}
		defer a.close(house)
		owner, err := cleanroom.ContractOwner(signed)
		if err != nil {
			return err
		}
		filed, receipt, err := house.Rooms.Register.AddContract(cmd.Context(), by, signed, owner, reason)
		if err != nil {
			return err
		}
		document := newContractDocument(filed)
		document.Log = pointTo(receipt)
		return a.screen.print(document, func(w io.Writer) { writeContract(w, document) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) roomContractShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show PARTY.DATASET", Short: "Show the contract of a dataset, with all its versions", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ref, err := cleanroom.ParseDatasetRef(args[0])
			if err != nil {
				return usagef("the name of a dataset is PARTY.DATASET")
			}
			house, err := a.open(cmd.Context())
			if err != nil {
				return err
			}
			defer a.close(house)
			versions, err := house.Rooms.Reader.Contracts(cmd.Context(), ref)
			if err == nil && len(versions) == 0 {
				err = fmt.Errorf("nobody has signed a contract of this dataset: %w", privacy.ErrNotFound)
			}
			if err != nil {
				return err
			}
			documents := make([]contractDocument, len(versions))
			for i, v := range versions {
				documents[i] = newContractDocument(v)
			}
			return a.screen.print(map[string]any{"versions": documents}, func(w io.Writer) {
				writeContract(w, documents[0])
				for _, d := range documents[1:] {
					_, _ = fmt.Fprintf(w, "before: version %d of %s, %s\n", d.Version, dayOf(d.AddedAt), d.Digest)
				}
			})
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func writeContract(w io.Writer, d contractDocument) {
	c := d.Contract
	t := table{}
	t.add("dataset", d.Dataset)
	t.add("version", fmt.Sprint(d.Version))
	t.add("people from", string(c.Source))
	t.add("protects", "a "+c.Unit)
	t.add("purposes", joinWords(c.Purposes))
	t.add("a group has", fmt.Sprintf("%d people at least", c.MinimumPeople))
	t.add("budget", rhoText(c.Cap)+" for ever, "+rhoText(c.ConsumerCap)+" a consumer, "+rhoText(c.QueryCap)+" a question")
	t.add("a person counts in", fmt.Sprintf("%d groups at most", c.MaxGroupsPerPerson))
	questions := "templates alone"
	if c.AdHoc {
		questions = "any, and templates"
	}
	t.add("questions", questions)
	if d.RaisedBecause != "" {
		t.add("raised because", d.RaisedBecause)
	}
	t.add("digest", d.Digest)
	if d.Log != nil {
		t.add("log entry", fmt.Sprint(d.Log.Index))
	}
	t.writeTo(w, "")
	columns := table{header: []string{"column", "role", "type", "category", "values"}}
	for i := range c.Columns {
		column := &c.Columns[i]
		values := fmt.Sprintf("%d to %d", column.Lo, column.Hi)
		switch column.Type {
		case cleanroom.Enum:
			values = fmt.Sprintf("%d words", len(column.Domain))
		case cleanroom.Day:
			values = column.First + " to " + column.Last + " by " + string(column.Grid)
		}
		columns.add(column.Name, string(column.Role), string(column.Type), string(column.Category), values)
	}
	_, _ = fmt.Fprintln(w)
	columns.writeTo(w, "")
}

// rhoText is a privacy loss as a decimal fraction.
func rhoText(r cleanroom.Rho) string {
	text := fmt.Sprintf("%d.%09d", r/cleanroom.OneRho, r%cleanroom.OneRho)
	return "rho " + strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func joinWords[T ~string](words []T) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return strings.Join(list, ", ")
}

func (a *app) roomContractList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the contracts in force", Args: cobra.NoArgs,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			list, err := house.Rooms.Reader.ContractsInForce(cmd.Context())
			if err != nil {
				return err
			}
			documents := []contractDocument{}
			t := table{header: []string{"dataset", "version", "purposes", "people", "budget", "a consumer", "a question"}}
			for _, f := range list {
				d := newContractDocument(f)
				documents = append(documents, d)
				c := f.Contract
				t.add(d.Dataset, fmt.Sprint(d.Version), joinWords(c.Purposes), fmt.Sprint(c.MinimumPeople), rhoText(c.Cap), rhoText(c.ConsumerCap), rhoText(c.QueryCap))
			}
			return a.screen.printList(map[string]any{"contracts": documents}, &t, "no contracts; mahrem room contract add files one")
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}
