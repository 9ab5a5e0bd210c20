package cli

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) decisionCommand() *cobra.Command {
	return group("decision", "Show decisions and make them again", a.decisionShow(), a.decisionReplay())
}

// decisionDocument is the answer of GET /v1/decisions/{decision_id}.
type decisionDocument struct {
	ID        string    `json:"decision_id"`
	DecidedAt time.Time `json:"decided_at"`
	Kind      string    `json:"kind"`
	Outcome   string    `json:"outcome"`
	Recipient string    `json:"recipient,omitempty"`
	Purpose   string    `json:"purpose,omitempty"`
	Channel   string    `json:"channel,omitempty"`
	// Attributes are those that were released, Checks those of the entry: that did not
	// pass, or that were held.
	Attributes []privacy.AttributeName `json:"attributes"`
	Checks     []string                `json:"checks"`
	Policy     string                  `json:"policy_revision,omitempty"`
	FactsHash  string                  `json:"facts_digest,omitempty"`
	// Facts and Plan are the canonical documents.
	Facts   json.RawMessage `json:"facts,omitempty"`
	Plan    json.RawMessage `json:"plan,omitempty"`
	Reasons []reasonOutput  `json:"reasons"`
	Log     logPointer      `json:"log"`
	Shown   logPointer      `json:"shown"`
}

func newDecisionDocument(s archive.Shown) decisionDocument {
	e := &s.Entry
	leaf, shown := audit.LeafHash(e.Leaf()), s.Receipt.LeafHash()
	d := decisionDocument{
		ID: s.ID.String(), DecidedAt: e.Time, Kind: string(e.Kind), Outcome: string(e.Outcome), Recipient: string(e.Recipient),
		Purpose: string(e.Purpose), Channel: string(e.Channel),
		Attributes: append([]privacy.AttributeName{}, e.Attributes...), Checks: append([]string{}, e.Checks...),
		Reasons: []reasonOutput{}, Log: logPointer{s.ID.Index, hex.EncodeToString(leaf[:])},
		Shown: logPointer{s.Receipt.Index(), hex.EncodeToString(shown[:])},
	}
	if e.Policy != (audit.Digest{}) {
		d.Policy = "sha256:" + hex.EncodeToString(e.Policy[:])
		d.FactsHash = "sha256:" + hex.EncodeToString(e.Facts[:])
	}
	if s.Kept {
		d.Facts = s.Facts.Canonical()
	}
	if s.Planned {
		d.Plan = s.Plan.Canonical()
	}
	for _, r := range s.Reasons {
		d.Reasons = append(d.Reasons, reasonOutput{r.Check, r.Title, r.Laws})
	}
	return d
}

func (a *app) decisionShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show DECISION_ID", Short: "Show what a decision was made of, and on which law", Args: cobra.ExactArgs(1),
		Long: `Show what a decision was made of: the entry in the log, the facts, the plan with the
checks and the articles behind them, and the policy that decided. None of it says who
the person is. That it was shown is in the log before it is shown.`,
		Example: `  mahrem decision show 1742-6f1c2d3e4f5061728394a5b6c7d8e9f0`,
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		id, err := decisionID(args[0])
		if err != nil {
			return err
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		shown, err := house.Archive.Show(cmd.Context(), operator(), id)
		if err != nil {
			return noSuchDecision(err)
		}
		document := newDecisionDocument(shown)
		return a.screen.print(document, func(w io.Writer) { writeDecision(w, document, shown) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func decisionID(text string) (audit.DecisionID, error) {
	id, err := audit.ParseDecisionID(text)
	if err != nil {
		return id, usagef("a decision id is an index, - and 32 hexadecimal digits, as in the answer to a query")
	}
	return id, nil
}

func noSuchDecision(err error) error {
	if errors.Is(err, audit.ErrArchived) {
		return fmt.Errorf("%w; show it with: mahrem audit prove ID --from ARCHIVE", err)
	}
	if errors.Is(err, privacy.ErrNotFound) {
		return fmt.Errorf("the log has no decision of this id: %w", privacy.ErrNotFound)
	}
	return err
}

func writeDecision(w io.Writer, d decisionDocument, s archive.Shown) {
	t := table{}
	t.add("decision", d.Outcome)
	t.add("decided at", d.DecidedAt.Format(time.RFC3339))
	t.add("told to", d.Recipient)
	t.add("purpose", d.Purpose)
	t.add("channel", d.Channel)
	t.add("released", strings.Join(texts(d.Attributes), ", "))
	t.add("checks in the log", strings.Join(d.Checks, ", "))
	t.add("policy", d.Policy)
	t.add("log entry", fmt.Sprintf("%d  %s", d.Log.Index, d.Log.LeafHash))
	if s.Planned {
		t.add("legal basis", string(s.Plan.Basis))
		t.add("at most", s.Plan.Ceiling.String())
		t.add("opens", strings.Join(texts(s.Plan.Granted), ", "))
		t.add("stays closed", strings.Join(texts(s.Plan.Denied), ", "))
		t.add("obligations", strings.Join(texts(s.Plan.Obligations), ", "))
	}
	t.writeTo(w, "")
	if !s.Kept {
		_, _ = fmt.Fprintln(w, "\nfacts and plan of this decision were not kept: it is older than the archive, or about an audience")
		return
	}
	if len(d.Reasons) > 0 {
		because := table{header: []string{"because", "in words", "law"}}
		for _, r := range d.Reasons {
			name := r.Code
			if !s.Plan.Allow {
				name = "not passed: " + name
			}
			because.add(name, r.Title, strings.Join(r.Laws, ", "))
		}
		_, _ = fmt.Fprintln(w)
		because.writeTo(w, "")
	}
	_, _ = fmt.Fprintln(w)
	factsTable(&s.Facts).writeTo(w, "")
	if !s.Planned {
		_, _ = fmt.Fprintln(w, "\nthe policies came to no plan")
	}
}

func factsTable(f *policies.Facts) *table {
	t := &table{header: []string{"fact", "value"}}
	for _, line := range [][2]string{
		{"action", string(f.Action)},
		{"role", string(f.Role)},
		{"recipient", string(f.Recipient)},
		{"purpose", string(f.Purpose)},
		{"channel", string(f.Channel)},
		{"reference", string(f.Reference)},
		{"person known", string(f.Subject.Known)},
		{"age", string(f.Subject.Age)},
		{"jurisdiction", string(f.Subject.Jurisdiction)},
		{"restricted", string(f.Subject.Restricted)},
		{"objected", string(f.Subject.Objected)},
		{"household", string(f.Subject.Household)},
		{"consent", string(f.Consent.State)},
		{"explicit", string(f.Consent.Explicit)},
		{"basis", string(f.Consent.Basis)},
		{"incentive", string(f.Consent.Incentive)},
		{"trigger", string(f.Trigger)},
		{"case", string(f.Case)},
		{"explicit for", strings.Join(texts(f.Grants), ", ")},
		{"asked for", strings.Join(texts(f.Categories), ", ")},
	} {
		t.add(line[0], line[1])
	}
	return t
}

// texts turns words into texts.
func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return list
}
