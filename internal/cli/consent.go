package cli

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/internal/assembly"
	"github.com/mahrem/mahrem/privacy"
)

func (a *app) consentCommand() *cobra.Command {
	return group("consent", "Record and show what people said about the use of their data",
		a.consentChange("grant", "Record that a person agreed, or a guardian for a child", consent.Granted),
		a.consentChange("renew", "Record that a person was asked again and agreed again", consent.Renewed),
		a.consentChange("refuse", "Record that a person was asked and said no", consent.Refused),
		a.consentWithdraw(),
		a.consentLink(),
		a.consentChange("object", "Record an objection (GDPR Article 21)", consent.Objected),
		a.consentShow(), a.consentAt(), a.consentHistory(), a.consentReceipt())
}

func (a *app) consentChange(verb, short string, action consent.Action) *cobra.Command {
	var change consent.Change
	var purpose, channel, basis string
	var categories []string
	var effective, until, id, actor, jurisdiction string
	var guardian bool
	cmd := &cobra.Command{Use: verb + " --purpose PURPOSE", Short: short, Args: cobra.NoArgs}
	person := a.whoFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&purpose, "purpose", "", "purpose, as in the catalogue")
	flags.StringVar(&channel, "channel", "*", `channel, as in the catalogue; "*" is every channel`)
	flags.StringVar(&change.Source, "source", "cli", "where it was said, in one lower-case word")
	flags.StringVar(&effective, "effective-at", "", "when it was said, RFC 3339 (default: now)")
	flags.StringVar(&change.NoticeVersion, "notice", "", "the text the person was shown, such as privacy-notice-7")
	flags.StringVar(&basis, "basis", "", "legal basis (default: consent; for an objection legitimate_interests)")
	flags.StringVar(&id, "id", "", "an own UUID for the change, by which a repetition is known")
	flags.StringVar(&actor, "actor", "", "who acted: data_subject, guardian or agent (default: whom the action names)")
	flags.StringVar(&change.Language, "language", "", "language of the text that was shown, such as tr")
	flags.StringVar(&change.EvidenceRef, "evidence", "", "where the evidence is: a reference, such as form/2026/4711")
	flags.StringVar(&jurisdiction, "jurisdiction", "", "the law under which the person was asked, such as CZ")
	if verb == "grant" || verb == "withdraw" {
		flags.BoolVar(&guardian, "guardian", false, "it was the holder of parental responsibility, for a child (GDPR Article 8)")
	}
	if action.IsYes() {
		flags.BoolVar(&change.GuardianVerified, "guardian-verified", false, "the guardian's authority was verified, by the evidence")
		flags.BoolVar(&change.Explicit, "explicit", false, "the person agreed expressly (GDPR Article 9(2)(a))")
		flags.StringSliceVar(&categories, "category", nil, "special categories that an explicit consent names")
		flags.BoolVar(&change.Incentive, "incentive", false, "the person got something in return")
		flags.StringVar(&until, "valid-until", "", "when it ends by itself, RFC 3339")
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		change.Purpose, change.Channel, change.Basis = privacy.Purpose(purpose), privacy.Channel(channel), privacy.LegalBasis(basis)
		if change.EffectiveAt, err = timeFlag("--effective-at", effective); err != nil {
			return err
		}
		if change.ValidUntil, err = timeFlag("--valid-until", until); err != nil {
			return err
		}
		if change.ID, err = idFlag(id); err != nil {
			return err
		}
		change.Actor, change.Jurisdiction = consent.Actor(actor), privacy.Jurisdiction(jurisdiction)
		done := action
		if guardian {
			done = map[string]consent.Action{"grant": consent.GuardianGranted, "withdraw": consent.GuardianWithdrawn}[verb]
		}
		for _, category := range categories {
			change.Categories = append(change.Categories, privacy.DataCategory(category))
		}
		house, err := a.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close(house)
		if change.DataSubject, err = person.resolve(cmd.Context(), house, a.stdin); err != nil {
			return err
		}
		receipt, err := house.Consent.Record(cmd.Context(), operator(), done, change)
		if err != nil {
			return err
		}
		leaf := receipt.LeafHash()
		document := struct {
			ConsentID    string     `json:"consent_id"`
			ConsentToken string     `json:"consent_token"`
			Log          logPointer `json:"log"`
		}{consent.FormatID(receipt.Record.ID), receipt.Token.String(), logPointer{receipt.Index(), hex.EncodeToString(leaf[:])}}
		return a.screen.print(document, func(w io.Writer) {
			t := table{}
			if recorded := string(done); !receipt.Duplicate {
				t.add("recorded", recorded)
			} else {
				t.add("recorded before", recorded)
			}
			t.add("consent id", document.ConsentID)
			t.add("log entry", fmt.Sprint(document.Log.Index))
			t.add("consent token", document.ConsentToken)
			t.writeTo(w, "")
		})
	}
	a.jsonFlag(cmd)
	return cmd
}

// logPointer is where in the log the evidence is.
type logPointer struct {
	Index    uint64 `json:"index"`
	LeafHash string `json:"leaf_hash"`
}

func timeFlag(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, usagef("%s must be a time such as 2026-05-04T12:00:00Z", name)
	}
	return at, nil
}

func idFlag(text string) ([16]byte, error) {
	if text == "" {
		return [16]byte{}, nil
	}
	id, err := consent.ParseID(text)
	if err != nil {
		return id, usagef("--id must be a UUID such as 6f1c2d3e-4f50-4172-8394-a5b6c7d8e9f0")
	}
	return id, nil
}

// consentRecord is one line of the history.
type consentRecord struct {
	ID            string     `json:"consent_id"`
	Purpose       string     `json:"purpose"`
	Channel       string     `json:"channel"`
	Action        string     `json:"action"`
	Basis         string     `json:"legal_basis"`
	Explicit      bool       `json:"explicit"`
	Categories    []string   `json:"categories,omitempty"`
	NoticeVersion string     `json:"notice_version,omitempty"`
	Source        string     `json:"source"`
	Incentive     bool       `json:"incentive"`
	Actor         string     `json:"actor"`
	Verified      bool       `json:"guardian_verified,omitempty"`
	Language      string     `json:"language,omitempty"`
	EvidenceRef   string     `json:"evidence_ref,omitempty"`
	Jurisdiction  string     `json:"jurisdiction,omitempty"`
	EffectiveAt   time.Time  `json:"effective_at"`
	RecordedAt    time.Time  `json:"recorded_at"`
	ValidUntil    *time.Time `json:"valid_until,omitempty"`
}

// standing is one line of what holds now.
type standing struct {
	Purpose string     `json:"purpose"`
	Channel string     `json:"channel"`
	State   string     `json:"state"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until,omitempty"`
}

func (a *app) consentShow() *cobra.Command {
	cmd := &cobra.Command{Use: "show", Short: "Show a person's consents and their history", Args: cobra.NoArgs}
	a.aboutPerson(cmd, func(ctx context.Context, house *assembly.House, id privacy.DataSubjectID) error {
		statement, err := house.Consent.Show(ctx, id)
		if err != nil {
			return err
		}
		if err := house.LogShown(ctx, operator(), id); err != nil {
			return err
		}
		return a.screen.print(consentDocument(statement), func(w io.Writer) { writeConsents(w, statement) })
	})
	a.jsonFlag(cmd)
	return cmd
}

type consentsDocument struct {
	Standings []standing      `json:"standings"`
	Records   []consentRecord `json:"records"`
}

func consentDocument(s consent.Statement) consentsDocument {
	d := consentsDocument{Standings: []standing{}, Records: []consentRecord{}}
	for _, line := range s.Standings {
		d.Standings = append(d.Standings, standing{
			string(line.Purpose), string(line.Channel), string(line.Current.State), line.Current.Since, optional(line.Current.Until),
		})
	}
	for _, r := range s.Records {
		record := consentRecord{
			ID:      consent.FormatID(r.ID),
			Purpose: string(r.Purpose), Channel: string(r.Channel), Action: string(r.Action), Basis: string(r.Basis),
			Explicit: r.Explicit, NoticeVersion: r.NoticeVersion, Source: r.Source, Incentive: r.Incentive,
			Actor: string(r.Actor), Verified: r.GuardianVerified, Language: r.Language, EvidenceRef: r.EvidenceRef,
			Jurisdiction: string(r.Jurisdiction),
			EffectiveAt:  r.EffectiveAt, RecordedAt: r.RecordedAt, ValidUntil: optional(r.ValidUntil),
		}
		for _, category := range r.Categories {
			record.Categories = append(record.Categories, string(category))
		}
		d.Records = append(d.Records, record)
	}
	return d
}

func optional(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func writeConsents(w io.Writer, s consent.Statement) {
	if len(s.Records) == 0 {
		_, _ = fmt.Fprintln(w, "never asked: there is no record, so every purpose that needs consent is closed")
		return
	}
	now := table{header: []string{"purpose", "channel", "now", "since", "until"}}
	for _, line := range s.Standings {
		now.add(string(line.Purpose), string(line.Channel), string(line.Current.State), day(line.Current.Since), day(line.Current.Until))
	}
	now.writeTo(w, "")
	_, _ = fmt.Fprintln(w)
	history := table{header: []string{"said at", "purpose", "channel", "action", "basis", "explicit for", "notice", "source"}}
	for _, r := range s.Records {
		explicit := ""
		if r.Explicit {
			explicit = "yes"
			if len(r.Categories) > 0 {
				explicit = strings.Trim(fmt.Sprint(r.Categories), "[]")
			}
		}
		history.add(r.EffectiveAt.UTC().Format(time.DateTime), string(r.Purpose), string(r.Channel), string(r.Action),
			string(r.Basis), explicit, r.NoticeVersion, r.Source)
	}
	history.writeTo(w, "")
}

func day(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}
