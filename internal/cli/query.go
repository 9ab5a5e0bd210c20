package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// answerDocument is the answer in the shape of the HTTP API.
type answerDocument struct {
	DecisionID string                   `json:"decision_id"`
	Decision   string                   `json:"decision"`
	Pseudonym  string                   `json:"pseudonym,omitempty"`
	Attributes map[string]releasedValue `json:"attributes"`
	// Withheld names what was asked for and is not in the answer.
	Withheld    []string           `json:"withheld"`
	Obligations []obligationOutput `json:"obligations"`
	Reasons     []reasonOutput     `json:"reasons"`
	Revision    string             `json:"policy_revision"`
	Log         logPointer         `json:"log"`
}

type releasedValue struct {
	Value   any    `json:"value"`
	Level   string `json:"level"`
	Quality string `json:"quality,omitempty"`
}

type obligationOutput struct {
	ID        string     `json:"id"`
	UseBefore *time.Time `json:"use_before,omitempty"`
}

type reasonOutput struct {
	Code  string   `json:"code"`
	Title string   `json:"title,omitempty"`
	Laws  []string `json:"laws"`
}

func (a *app) queryCommand() *cobra.Command {
	var recipient, purpose, channel, pseudonym, trigger, token, number string
	var attributes []string
	cmd := &cobra.Command{
		Use: "query --recipient RECIPIENT --purpose PURPOSE --channel CHANNEL --attribute NAME,…", Short: "Ask the gate as a recipient would", Args: cobra.NoArgs,
		Long: `Ask the gate as a service of one recipient would over HTTP: the same decision, the
same ladder, the same entry in the log. A denial is an answer: exit code 0.`,
		Example: `  mahrem query --recipient web_shop --purpose greeting --channel web --attribute first_name --customer-number C-10001`,
	}
	person := a.whoFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "who asks, as in the catalogue")
	flags.StringVar(&purpose, "purpose", "", "why, as in the catalogue")
	flags.StringVar(&channel, "channel", "", "how the person will be reached, as in the catalogue")
	flags.StringSliceVar(&attributes, "attribute", nil, "what is asked for; may be repeated or separated by commas")
	flags.StringVar(&pseudonym, "pseudonym", "", "the recipient's pseudonym of the person, instead of an identifier")
	flags.StringVar(&trigger, "trigger-at", "", "when the event happened that the query reacts to, RFC 3339")
	flags.StringVar(&token, "consent-token", "", "answer only from a state that holds this consent change")
	flags.StringVar(&number, "case", "", "the open case that the recipient handles, as mahrem case open printed it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if recipient == "" || purpose == "" || channel == "" || len(attributes) == 0 {
			return usagef("a query needs --recipient, --purpose, --channel and --attribute; see mahrem query --help")
		}
		query := gate.Query{Purpose: privacy.Purpose(purpose), Channel: privacy.Channel(channel), ConsentToken: token, Case: number}
		for _, name := range attributes {
			query.Attributes = append(query.Attributes, privacy.AttributeName(name))
		}
		if pseudonym != "" && person.isGiven() {
			return usagef("name the person by a pseudonym or by an identifier, not by both")
		}
		query.DataSubject.Pseudonym = pseudonym
		var err error
		if pseudonym == "" {
			if query.DataSubject.Identifier, err = person.identifier(a.stdin); err != nil {
				return err
			}
		}
		at, err := timeFlag("--trigger-at", trigger)
		if err != nil {
			return err
		}
		if !at.IsZero() {
			query.Trigger = &gate.Trigger{OccurredAt: at}
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(privacy.RecipientID(recipient)); err != nil {
			return err
		}
		principal := operatorFor(privacy.RecipientID(recipient))
		answer, err := house.Gate.Ask(cmd.Context(), principal, query)
		if err != nil {
			return err
		}
		document := newAnswerDocument(answer, query.Attributes)
		return a.screen.print(document, func(w io.Writer) { writeAnswer(w, document, answer) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func newAnswerDocument(answer gate.Answer, asked []privacy.AttributeName) answerDocument {
	leaf := answer.Receipt.LeafHash()
	d := answerDocument{
		DecisionID: answer.DecisionID, Decision: string(answer.Decision), Pseudonym: answer.Pseudonym, Revision: answer.PolicyRevision,
		Attributes: map[string]releasedValue{}, Withheld: []string{}, Obligations: []obligationOutput{}, Reasons: []reasonOutput{},
		Log: logPointer{answer.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	for _, name := range asked {
		released, given := answer.Attributes[name]
		if !given {
			d.Withheld = append(d.Withheld, string(name))
			continue
		}
		d.Attributes[string(name)] = releasedValue{released.RevealPersonalData(), released.Level.String(), string(released.Quality)}
	}
	for _, o := range answer.Obligations {
		d.Obligations = append(d.Obligations, obligationOutput{string(o.ID), optional(o.UseBefore)})
	}
	for _, r := range answer.Reasons {
		d.Reasons = append(d.Reasons, reasonOutput{r.Check, r.Title, r.Laws})
	}
	return d
}

func writeAnswer(w io.Writer, d answerDocument, answer gate.Answer) {
	t := table{}
	t.add("decision", d.Decision)
	if d.Pseudonym != "" {
		t.add("pseudonym", d.Pseudonym)
	}
	for _, o := range d.Obligations {
		text := o.ID
		if o.UseBefore != nil {
			text += " " + o.UseBefore.UTC().Format(time.RFC3339)
		}
		t.add("obligation", text)
	}
	for _, r := range d.Reasons {
		t.add("reason", strings.TrimSpace(r.Code+": "+r.Title+" ("+strings.Join(r.Laws, ", ")+")"))
	}
	t.add("decision id", d.DecisionID)
	t.add("log entry", fmt.Sprint(d.Log.Index))
	t.writeTo(w, "")
	if answer.Decision != gate.Allow {
		return
	}
	_, _ = fmt.Fprintln(w)
	values := table{header: []string{"attribute", "level", "value", "quality"}}
	for _, name := range slices.Sorted(maps.Keys(d.Attributes)) {
		values.add(name, d.Attributes[name].Level, valueText(d.Attributes[name].Value), d.Attributes[name].Quality)
	}
	for _, name := range d.Withheld {
		values.add(name, "withheld")
	}
	values.writeTo(w, "")
}

func valueText(value any) string {
	if list, ok := value.([]string); ok {
		return strings.Join(list, ", ")
	}
	return fmt.Sprint(value)
}
