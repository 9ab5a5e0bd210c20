package cli

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) audienceCommand() *cobra.Command {
	return group("audience", "Ask whom a recipient may reach", a.audienceAsk(), a.audienceRefresh())
}

// audienceDocument is the answer in the words of the HTTP API.
type audienceDocument struct {
	DecisionID  string             `json:"decision_id"`
	Decision    string             `json:"decision"`
	Members     *int               `json:"members,omitempty"`
	AsOf        *time.Time         `json:"as_of,omitempty"`
	Obligations []obligationOutput `json:"obligations"`
	Reasons     []reasonOutput     `json:"reasons"`
	Revision    string             `json:"policy_revision"`
	Log         logPointer         `json:"log"`
	Pseudonyms  []string           `json:"pseudonyms"`
}

func (a *app) audienceAsk() *cobra.Command {
	var recipient, purpose, channel string
	var where []string
	cmd := &cobra.Command{
		Use: "ask --recipient RECIPIENT --purpose PURPOSE --channel CHANNEL", Short: "Ask whom a recipient may reach, as it would", Args: cobra.NoArgs,
		Long: `Ask for the pseudonyms of everybody whom the policies open a purpose about on a channel,
as a service of one recipient would over HTTP: the same decision, the same entry in the
log. A denial is an answer: exit code 0. Too few people are a denial, and how few is not
said.

Each --where names a column of the catalogue and the words that it may have. All must hold.`,
		Example: `  mahrem audience ask --recipient recommender --purpose recommendations --channel email --where loyalty_tier=gold,silver`,
	}
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "who asks, as in the catalogue")
	flags.StringVar(&purpose, "purpose", "", "why, as in the catalogue")
	flags.StringVar(&channel, "channel", "", "how the people will be reached, as in the catalogue")
	flags.StringArrayVar(&where, "where", nil, "COLUMN=WORD[,WORD…]; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if recipient == "" || purpose == "" || channel == "" {
			return usagef("an audience needs --recipient, --purpose and --channel; see mahrem audience ask --help")
		}
		query := gate.AudienceQuery{Purpose: privacy.Purpose(purpose), Channel: privacy.Channel(channel)}
		for _, text := range where {
			column, words, found := strings.Cut(text, "=")
			if !found {
				return usagef("--where must be COLUMN=WORD[,WORD…]")
			}
			query.Conditions = append(query.Conditions, gate.AudienceCondition{
				Attribute: privacy.AttributeName(column), In: strings.Split(words, ","),
			})
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if err := house.CheckRecipient(privacy.RecipientID(recipient)); err != nil {
			return err
		}
		// A running server has done this already.
		if _, err := house.Refresher.RefreshAll(cmd.Context(), nil); err != nil {
			return err
		}
		principal := operatorFor(privacy.RecipientID(recipient))
		answer, err := house.Gate.Audience(cmd.Context(), principal, query)
		if err != nil {
			return err
		}
		document := newAudienceDocument(answer)
		return a.screen.print(document, func(w io.Writer) { writeAudience(w, document) })
	}
	a.jsonFlag(cmd)
	return cmd
}

func newAudienceDocument(answer gate.Audience) audienceDocument {
	leaf := answer.Receipt.LeafHash()
	d := audienceDocument{
		DecisionID: answer.DecisionID, Decision: string(answer.Decision), Revision: answer.PolicyRevision,
		Obligations: []obligationOutput{}, Reasons: []reasonOutput{}, Pseudonyms: []string{},
		Log: logPointer{answer.Receipt.Index(), hex.EncodeToString(leaf[:])},
	}
	for _, o := range answer.Obligations {
		d.Obligations = append(d.Obligations, obligationOutput{string(o.ID), optional(o.UseBefore)})
	}
	for _, r := range answer.Reasons {
		d.Reasons = append(d.Reasons, reasonOutput{r.Check, r.Title, r.Laws})
	}
	if answer.Decision != gate.Allow {
		return d
	}
	d.Members, d.AsOf = &answer.Size, optional(answer.At)
	for name := range answer.Pseudonyms {
		d.Pseudonyms = append(d.Pseudonyms, string(name))
	}
	return d
}

func writeAudience(w io.Writer, d audienceDocument) {
	t := table{}
	t.add("decision", d.Decision)
	if d.Members != nil {
		t.add("members", fmt.Sprint(*d.Members))
	}
	for _, o := range d.Obligations {
		t.add("obligation", o.ID)
	}
	for _, r := range d.Reasons {
		t.add("reason", strings.TrimSpace(r.Code+": "+r.Title+" ("+strings.Join(r.Laws, ", ")+")"))
	}
	t.add("log entry", fmt.Sprint(d.Log.Index))
	t.writeTo(w, "")
	if len(d.Pseudonyms) > 0 {
		_, _ = fmt.Fprintln(w, "\n"+strings.Join(d.Pseudonyms, "\n"))
	}
}

func (a *app) audienceRefresh() *cobra.Command {
	cmd := &cobra.Command{
		Use: "refresh", Short: "Make the profiles by which audiences are found", Args: cobra.NoArgs,
		Long: `Make the profiles by which audiences are found, for everybody who has changed. A running
server does this by itself. Whoever has changed is in no audience until then.`,
		RunE: a.inHouse(func(cmd *cobra.Command, _ []string, house *assembly.House) error {
			done, err := house.Refresher.RefreshAll(cmd.Context(), nil)
			if err != nil {
				return err
			}
			return a.screen.print(map[string]int{"refreshed": done}, func(w io.Writer) { _, _ = fmt.Fprintf(w, "refreshed %d profiles\n", done) })
		}),
	}
	a.jsonFlag(cmd)
	return cmd
}
