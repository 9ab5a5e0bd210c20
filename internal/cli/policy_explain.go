package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// explanation is why the policies decide as they do.
type explanation struct {
	Revision    string             `json:"policy_revision"`
	Decision    string             `json:"decision"`
	Basis       string             `json:"legal_basis"`
	Ceiling     string             `json:"ceiling"`
	Reasons     []reasonOutput     `json:"reasons"`
	Granted     []string           `json:"granted_categories"`
	Denied      []string           `json:"denied_categories"`
	Obligations []string           `json:"obligations"`
	Attributes  []attributeVerdict `json:"attributes"`
}

type attributeVerdict struct {
	Attribute string   `json:"attribute"`
	Category  string   `json:"category"`
	Max       string   `json:"max_level"`
	Reasons   []string `json:"reasons,omitempty"`
}

func (a *app) policyExplain() *cobra.Command {
	var f policies.Facts
	var room roomFlags
	var attributes, grants []string
	var role, recipient, purpose, channel, jurisdiction, basis string
	var explicit, restricted, objected, unknown bool
	cmd := &cobra.Command{
		Use: "explain --recipient RECIPIENT --purpose PURPOSE --channel CHANNEL", Short: "Say what the policies would decide, and why, with the law", Args: cobra.NoArgs,
		Long: `Say what the policies would decide about made-up facts, and why: each check that did
not pass with the articles behind it, or the legal basis, and how much of each
attribute the purpose may ever see. No person, no database, no log.

With --act it explains an act in a clean room instead, of a party that is --recipient and
has every role there, on columns of some categories or with some words.`,
		Example: `  mahrem policy explain --recipient recommender --purpose recommendations --channel web --consent granted
  mahrem policy explain --recipient mail_house --purpose postal_offers --channel postal --consent granted --household shared
  mahrem policy explain --act query --recipient brand_partner --purpose campaign_measurement --word health.pregnancy_test`,
	}
	flags := cmd.Flags()
	flags.StringVar(&recipient, "recipient", "", "who asks, as in the catalogue")
	flags.StringVar(&purpose, "purpose", "", "why, as in the catalogue")
	flags.StringVar(&channel, "channel", "", "how the person will be reached, as in the catalogue")
	flags.StringSliceVar(&attributes, "attribute", nil, "what is asked for (default: every attribute of the categories that the purpose uses)")
	flags.StringVar(&role, "role", string(privacy.RoleService), "role of the caller")
	flags.StringVar((*string)(&f.Action), "action", string(policies.Personalize), "personalize or reidentify")
	flags.StringVar((*string)(&f.Reference), "reference", string(policies.ByPseudonym), "how the caller points at the person: pseudonym or an identifier kind")
	flags.StringVar((*string)(&f.Subject.Age), "age", string(policies.Adult), "child, youth, adult or unknown")
	flags.StringVar(&jurisdiction, "jurisdiction", "EU", "the person's country or jurisdiction")
	flags.StringVar((*string)(&f.Subject.Household), "household", string(policies.SingleHousehold), "single, shared or unknown")
	flags.StringVar((*string)(&f.Consent.State), "consent", string(policies.ConsentNeverAsked), "granted, withdrawn, refused, objected, expired, never_asked, stale_notice or guardian_missing")
	flags.StringVar(&basis, "basis", "", "legal basis of the consent record (default: consent, none without a record)")
	flags.StringVar((*string)(&f.Trigger), "trigger", string(policies.NoTrigger), "none, fresh or stale")
	flags.StringVar((*string)(&f.Case), "case", string(policies.NoCase), "none or handled")
	flags.StringSliceVar(&grants, "grant", nil, "data categories with a live explicit consent")
	flags.BoolVar(&explicit, "explicit", false, "the consent is explicit")
	flags.BoolVar(&restricted, "restricted", false, "processing is restricted (GDPR Article 18)")
	flags.BoolVar(&objected, "objected", false, "an objection covers the purpose (GDPR Article 21)")
	flags.BoolVar(&unknown, "unknown-person", false, "the person is not known")
	flags.StringVar(&room.act, "act", "", "in a clean room: admit, match, query or activate")
	flags.StringSliceVar(&room.categories, "category", nil, "in a clean room: data categories of the columns that are touched")
	flags.StringSliceVar(&room.words, "word", nil, "in a clean room: product groups that a column has, by key or by a shop's label")
	flags.StringSliceVar(&room.members, "with", nil, "in a clean room: its other members, as in the catalogue")
	flags.StringVar(&room.mode, "mode", "dp", "in a clean room: dp or k_only")
	flags.BoolVar(&room.adHoc, "free", false, "in a clean room: the question follows no template")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if room.act != "" {
			settings, err := a.config()
			if err != nil {
				return err
			}
			engine, err := assembly.OpenPolicies(cmd.Context(), settings.Policies, settings.Patience)
			if err != nil {
				return err
			}
			return a.explainRoom(cmd.Context(), engine.Revision(), &room, recipient, purpose)
		}
		if purpose == "" || channel == "" {
			return usagef("explain needs --purpose and --channel, and mostly --recipient; see mahrem policy explain --help")
		}
		settings, err := a.config()
		if err != nil {
			return err
		}
		engine, err := assembly.OpenPolicies(cmd.Context(), settings.Policies, settings.Patience)
		if err != nil {
			return err
		}
		revision := engine.Revision()
		catalogue := revision.Catalogue()
		f.Role, f.Purpose, f.Channel = privacy.Role(role), privacy.Purpose(purpose), privacy.Channel(channel)
		if f.Recipient = privacy.RecipientID(recipient); recipient == "" {
			f.Recipient = policies.NoRecipient
		}
		f.Subject.Known, f.Subject.Restricted, f.Subject.Objected = policies.YesNo(!unknown), policies.YesNo(restricted), policies.YesNo(objected)
		f.Subject.Jurisdiction = catalogue.JurisdictionOf(jurisdiction)
		f.Consent.Explicit, f.Consent.Incentive = policies.YesNo(explicit), policies.No
		if f.Consent.Basis = privacy.LegalBasis(basis); basis == "" {
			f.Consent.Basis = privacy.Consent
			if f.Consent.State == policies.ConsentNeverAsked {
				f.Consent.Basis = policies.NoBasis
			}
		}
		for _, grant := range grants {
			f.Grants = append(f.Grants, privacy.DataCategory(grant))
		}
		names, err := askedFor(catalogue, f.Purpose, attributes)
		if err != nil {
			return err
		}
		document := explanation{Revision: revision.String(), Reasons: []reasonOutput{}, Attributes: []attributeVerdict{}}
		for _, name := range names {
			attribute, _ := catalogue.Attribute(name)
			f.Categories = append(f.Categories, attribute.Category)
			verdict := revision.Verdict(f.Purpose, name)
			document.Attributes = append(document.Attributes, attributeVerdict{string(name), string(attribute.Category), verdict.Max.String(), verdict.Reasons})
		}
		plan, err := revision.Decide(cmd.Context(), f)
		if err != nil {
			return err
		}
		document.fill(revision, plan)
		return a.screen.print(document, func(w io.Writer) { document.write(w, revision) })
	}
	a.jsonFlag(cmd)
	return cmd
}

// askedFor are the attributes of the question: those that were named, or all that the
// purpose has a use for.
func askedFor(catalogue *policies.Catalogue, purpose privacy.Purpose, named []string) ([]privacy.AttributeName, error) {
	var names []privacy.AttributeName
	for _, name := range named {
		if _, known := catalogue.Attribute(privacy.AttributeName(name)); !known {
			return nil, usagef("attribute %s is not in the catalogue", name)
		}
		names = append(names, privacy.AttributeName(name))
	}
	known, exists := catalogue.Purpose(purpose)
	if len(names) > 0 || !exists {
		return names, nil
	}
	for _, name := range catalogue.Attributes() {
		attribute, _ := catalogue.Attribute(name)
		if _, used := known.Categories[attribute.Category]; used {
			names = append(names, name)
		}
	}
	return names, nil
}

func (e *explanation) fill(revision *policies.Revision, plan policies.Plan) {
	e.Decision, e.Basis, e.Ceiling = "deny", string(plan.Basis), plan.Ceiling.String()
	if plan.Allow {
		e.Decision = "allow"
	}
	for _, reason := range revision.Explain(plan) {
		e.Reasons = append(e.Reasons, reasonOutput{reason.Check, reason.Title, reason.Laws})
	}
	e.Granted, e.Denied, e.Obligations = []string{}, []string{}, []string{}
	for _, category := range plan.Granted {
		e.Granted = append(e.Granted, string(category))
	}
	for _, category := range plan.Denied {
		e.Denied = append(e.Denied, string(category))
	}
	for _, obligation := range plan.Obligations {
		e.Obligations = append(e.Obligations, string(obligation))
	}
}

func (e *explanation) write(w io.Writer, revision *policies.Revision) {
	t := table{}
	t.add("decision", e.Decision)
	t.add("legal basis", e.Basis)
	t.add("at most", e.Ceiling)
	t.add("opens", strings.Join(e.Granted, ", "))
	t.add("stays closed", strings.Join(e.Denied, ", "))
	t.add("obligations", strings.Join(e.Obligations, ", "))
	t.writeTo(w, "")
	because := table{header: []string{"because", "in words", "law"}}
	for _, r := range e.Reasons {
		name := r.Code
		if e.Decision == "deny" {
			name = "not passed: " + name
		}
		because.add(name, r.Title, strings.Join(r.Laws, ", "))
	}
	_, _ = fmt.Fprintln(w)
	because.writeTo(w, "")
	if len(e.Attributes) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	verdicts := table{header: []string{"attribute", "category", "this purpose ever", "because"}}
	for _, v := range e.Attributes {
		var why []string
		for _, check := range v.Reasons {
			why = append(why, "not: "+revision.Reason(check).Title)
		}
		verdicts.add(v.Attribute, v.Category, v.Max, strings.Join(why, "\n"))
	}
	verdicts.writeTo(w, "")
}
