package export

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/mahrem/mahrem/archive"
	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// Format is what data.json says of itself.
const Format = "mahrem-export/1"

// The parts of data.json, in docs/spec/export.md and its JSON Schema. Personal values are
// in clear here: these types exist only between the vault and the encrypted file.

type personPart struct {
	ID           string    `json:"data_subject_id"`
	Jurisdiction string    `json:"jurisdiction"`
	Restricted   bool      `json:"restricted"`
	HeldSince    time.Time `json:"held_since"`
}

type attributePart struct {
	Category   string   `json:"category"`
	Attribute  string   `json:"attribute"`
	Title      string   `json:"title"`
	Values     []string `json:"values"`
	Source     string   `json:"source"`
	Quality    string   `json:"quality"`
	ObservedAt string   `json:"observed_on,omitempty"`
}

type eventPart struct {
	Type   string            `json:"type"`
	At     time.Time         `json:"at"`
	Fields map[string]string `json:"fields"`
}

type consentPart struct {
	Purpose       string     `json:"purpose"`
	Title         string     `json:"title"`
	Channel       string     `json:"channel"`
	Action        string     `json:"action"`
	LegalBasis    string     `json:"legal_basis"`
	Explicit      bool       `json:"explicit"`
	Categories    []string   `json:"categories,omitempty"`
	NoticeVersion string     `json:"notice_version"`
	Source        string     `json:"source"`
	Incentive     bool       `json:"incentive"`
	Actor         string     `json:"actor"`
	Verified      bool       `json:"guardian_verified"`
	Language      string     `json:"language,omitempty"`
	EvidenceRef   string     `json:"evidence_ref,omitempty"`
	Jurisdiction  string     `json:"jurisdiction,omitempty"`
	EffectiveAt   time.Time  `json:"effective_at"`
	RecordedAt    time.Time  `json:"recorded_at"`
	ValidUntil    *time.Time `json:"valid_until,omitempty"`
}

func newConsentPart(r *consent.Record, title string) consentPart {
	part := consentPart{
		Purpose: string(r.Purpose), Title: title, Channel: string(r.Channel), Action: string(r.Action),
		LegalBasis: string(r.Basis), Explicit: r.Explicit, Categories: texts(r.Categories), NoticeVersion: r.NoticeVersion,
		Source: r.Source, Incentive: r.Incentive, Actor: string(cmp.Or(r.Actor, consent.ByDataSubject)), Verified: r.GuardianVerified,
		Language: r.Language, EvidenceRef: r.EvidenceRef, Jurisdiction: string(r.Jurisdiction), EffectiveAt: r.EffectiveAt, RecordedAt: r.RecordedAt,
	}
	if !r.ValidUntil.IsZero() {
		part.ValidUntil = &r.ValidUntil
	}
	return part
}

// inferencePart is a conclusion: one that is held, or one that a recipient may have come to
// by what it was told.
type inferencePart struct {
	// Kind is "held" or "told".
	Kind      string          `json:"kind"`
	Attribute string          `json:"attribute,omitempty"`
	Values    []string        `json:"values,omitempty"`
	Group     string          `json:"product_group,omitempty"`
	Title     string          `json:"title"`
	Recipient string          `json:"recipient,omitempty"`
	LastTold  string          `json:"last_told_on,omitempty"`
	PointsTo  []inferenceHint `json:"points_to,omitempty"`
}

type inferenceHint struct {
	Inference string `json:"inference"`
	Title     string `json:"title"`
	Weight    int    `json:"weight"`
	Threshold int    `json:"threshold"`
}

type entryPart struct {
	Index      uint64       `json:"index"`
	At         time.Time    `json:"at"`
	Kind       string       `json:"kind"`
	Outcome    string       `json:"outcome"`
	Role       string       `json:"role,omitempty"`
	Recipient  string       `json:"recipient,omitempty"`
	Concerning string       `json:"concerning_recipient,omitempty"`
	Purpose    string       `json:"purpose,omitempty"`
	Channel    string       `json:"channel,omitempty"`
	Attributes []string     `json:"released,omitempty"`
	Checks     []string     `json:"checks,omitempty"`
	Count      string       `json:"count,omitempty"`
	Policy     string       `json:"policy_revision,omitempty"`
	Facts      string       `json:"facts_digest,omitempty"`
	Basis      string       `json:"legal_basis,omitempty"`
	Granted    []string     `json:"categories_opened,omitempty"`
	Denied     []string     `json:"categories_closed,omitempty"`
	Duties     []string     `json:"obligations,omitempty"`
	Rules      []rulePart   `json:"rules,omitempty"`
	Evidence   evidencePart `json:"evidence"`
}

type rulePart struct {
	Check string   `json:"check"`
	Title string   `json:"title,omitempty"`
	Laws  []string `json:"laws,omitempty"`
}

// evidencePart lets the person show to somebody who has the log that the entry is theirs
// (docs/spec/entry.md), and that of no other.
type evidencePart struct {
	EntryID  string `json:"entry_id"`
	LeafHash string `json:"leaf_hash"`
	Opening  string `json:"opening"`
}

func newEntryPart(index uint64, e *audit.Entry, subject audit.Subject, why archive.Explained) entryPart {
	hash := audit.LeafHash(e.Leaf())
	opening := subject.Blinding.Opening(e.ID)
	part := entryPart{
		Index: index, At: e.Time, Kind: string(e.Kind), Outcome: string(e.Outcome), Role: string(e.Role),
		Recipient: string(e.Recipient), Concerning: string(e.Concerning), Purpose: string(e.Purpose), Channel: string(e.Channel),
		Attributes: texts(e.Attributes), Checks: e.Checks, Count: string(e.Count), Policy: digestText(e.Policy), Facts: digestText(e.Facts),
		Granted: texts(why.Plan.Granted), Denied: texts(why.Plan.Denied), Duties: texts(why.Plan.Obligations),
		Evidence: evidencePart{
			hex.EncodeToString(e.ID[:]), hex.EncodeToString(hash[:]), base64.RawURLEncoding.EncodeToString(opening[:]),
		},
	}
	if why.Plan.Allow {
		part.Basis = string(why.Plan.Basis)
	}
	for _, r := range why.Reasons {
		part.Rules = append(part.Rules, rulePart{r.Check, r.Title, r.Laws})
	}
	return part
}

type recipientPart struct {
	Recipient    string     `json:"recipient"`
	Title        string     `json:"title"`
	Relationship string     `json:"relationship"`
	Purposes     []string   `json:"contracted_for,omitempty"`
	Answered     int64      `json:"answered"`
	Refused      int64      `json:"refused"`
	First        *time.Time `json:"first_answered_at,omitempty"`
	Last         *time.Time `json:"last_answered_at,omitempty"`
}

// roomPart is a clean room that contained the person. What was asked there was about groups:
// no answer and no count leads to anybody, so none is here.
type roomPart struct {
	Room    string    `json:"room"`
	Dataset string    `json:"dataset"`
	Purpose string    `json:"purpose"`
	Title   string    `json:"title"`
	Members []string  `json:"members"`
	First   time.Time `json:"first_drawn_at"`
	Last    time.Time `json:"last_drawn_at"`
	Present bool      `json:"present"`
}

type purposePart struct {
	Purpose    string   `json:"purpose"`
	Title      string   `json:"title"`
	Bases      []string `json:"legal_bases"`
	Categories []string `json:"categories"`
	Profiling  bool     `json:"profiling"`
	Marketing  bool     `json:"marketing"`
}

type categoryPart struct {
	Category  string          `json:"category"`
	Title     string          `json:"title"`
	Special   bool            `json:"special"`
	Shared    bool            `json:"shared"`
	Events    int64           `json:"events"`
	Sources   []string        `json:"sources"`
	Retention []retentionPart `json:"retention"`
}

type logPart struct {
	Origin string `json:"origin"`
	// First is the first entry that was there to be looked at.
	First      uint64 `json:"first"`
	Size       uint64 `json:"size"`
	Root       string `json:"root_hash,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

func digestText(d audit.Digest) string {
	if d == (audit.Digest{}) {
		return ""
	}
	return "sha256:" + hex.EncodeToString(d[:])
}

// texts turns words into texts.
func texts[T ~string](words []T) []string {
	if len(words) == 0 {
		return nil
	}
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return list
}

func titleOf(catalogue *policies.Catalogue, kind, key, language string) string {
	var title policies.Text
	switch kind {
	case "purpose":
		if p, ok := catalogue.Purpose(privacy.Purpose(key)); ok {
			title = p.Title
		}
	case "recipient":
		if r, ok := catalogue.Recipient(privacy.RecipientID(key)); ok {
			title = r.Title
		}
	case "category":
		if c, ok := catalogue.Category(privacy.DataCategory(key)); ok {
			title = c.Title
		}
	case "attribute":
		if a, ok := catalogue.Attribute(privacy.AttributeName(key)); ok {
			title = a.Title
		}
	case "group":
		if g, ok := catalogue.Group(policies.GroupID(key)); ok {
			title = g.Title
		}
	case "channel":
		if c, ok := catalogue.Channel(privacy.Channel(key)); ok {
			title = c.Title
		}
	}
	if text := title.In(language); text != "" {
		return text
	}
	return key
}
