package policies

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// PlanVersion is the version of the canonical form of a plan, mahrem.plan/v1.
const PlanVersion = 1

// Canonical returns the one byte form of the plan, by which a decision that is made
// again is compared with the one that was recorded: JSON with fixed key order and no
// spaces; lists in ascending order, empty ones present.
func (p *Plan) Canonical() []byte { return p.AppendCanonical(make([]byte, 0, 512)) }

// Digest returns the SHA-256 of the canonical bytes.
func (p *Plan) Digest() [sha256.Size]byte { return sha256.Sum256(p.Canonical()) }

// AppendCanonical appends the canonical bytes to b.
func (p *Plan) AppendCanonical(b []byte) []byte {
	b = append(b, `{"v":1,"allow":`...)
	b = appendBool(b, p.Allow)
	b = append(b, `,"basis":`...)
	b = appendWord(b, string(p.Basis))
	b = append(b, `,"ceiling":`...)
	b = appendWord(b, p.Ceiling.String())
	b = appendWords(append(b, `,"failed":`...), p.Failed)
	b = appendWords(append(b, `,"granted":`...), p.Granted)
	b = appendWords(append(b, `,"denied":`...), p.Denied)
	b = appendWords(append(b, `,"cleared":`...), p.Cleared)
	b = append(b, `,"persona":`...)
	b = appendBool(b, p.Persona)
	b = appendWords(append(b, `,"obligations":`...), p.Obligations)
	return append(b, '}')
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, "true"...)
	}
	return append(b, "false"...)
}

// appendWord appends a JSON string. Words of plans are keys and need no escape; a rule
// may make others, and two different plans must not share their bytes.
func appendWord(b []byte, word string) []byte {
	if isWord(word) {
		b = append(b, '"')
		b = append(b, word...)
		return append(b, '"')
	}
	text, _ := json.Marshal(word) // a string always has a JSON form
	return append(b, text...)
}

func appendWords[T ~string](b []byte, words []T) []byte {
	b = append(b, '[')
	for i, word := range words {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendWord(b, string(word))
	}
	return append(b, ']')
}

// planDocument is mahrem.plan/v1.
type planDocument struct {
	V           int                    `json:"v"`
	Allow       bool                   `json:"allow"`
	Basis       privacy.LegalBasis     `json:"basis"`
	Ceiling     Level                  `json:"ceiling"`
	Failed      []string               `json:"failed"`
	Granted     []privacy.DataCategory `json:"granted"`
	Denied      []privacy.DataCategory `json:"denied"`
	Cleared     []privacy.DataCategory `json:"cleared"`
	Persona     bool                   `json:"persona"`
	Obligations []ObligationID         `json:"obligations"`
}

// ParsePlan reads canonical bytes back, and nothing else: whatever [Plan.Canonical]
// would write otherwise is an error that wraps [privacy.ErrDamaged].
func ParsePlan(canonical []byte) (Plan, error) {
	var d planDocument
	if err := json.Unmarshal(canonical, &d); err != nil {
		return Plan{}, fmt.Errorf("parsing plan: %w", privacy.ErrDamaged)
	}
	plan := Plan{
		Allow: d.Allow, Basis: d.Basis, Ceiling: d.Ceiling, Failed: d.Failed, Granted: d.Granted, Denied: d.Denied,
		Cleared: d.Cleared, Persona: d.Persona, Obligations: d.Obligations,
	}
	if d.V != PlanVersion || !bytes.Equal(plan.Canonical(), canonical) {
		return Plan{}, fmt.Errorf("parsing plan: not in its canonical form: %w", privacy.ErrDamaged)
	}
	return plan, nil
}

// factsDocument is mahrem.facts/v1.
type factsDocument struct {
	V         int                 `json:"v"`
	Action    Action              `json:"action"`
	Role      privacy.Role        `json:"role"`
	Recipient privacy.RecipientID `json:"recipient"`
	Purpose   privacy.Purpose     `json:"purpose"`
	Channel   privacy.Channel     `json:"channel"`
	Reference Reference           `json:"reference"`
	Subject   struct {
		Known        Answer               `json:"known"`
		Age          AgeGroup             `json:"age"`
		Jurisdiction privacy.Jurisdiction `json:"jurisdiction"`
		Restricted   Answer               `json:"restricted"`
		Objected     Answer               `json:"objected"`
		Household    Household            `json:"household"`
	} `json:"subject"`
	Consent struct {
		State     ConsentState       `json:"state"`
		Explicit  Answer             `json:"explicit"`
		Basis     privacy.LegalBasis `json:"basis"`
		Incentive Answer             `json:"incentive"`
	} `json:"consent"`
	Trigger    Freshness              `json:"trigger"`
	Case       Case                   `json:"case"`
	Grants     []privacy.DataCategory `json:"grants"`
	Categories []privacy.DataCategory `json:"categories"`
}

// ParseFacts reads canonical bytes back, and nothing else: whatever [Facts.Canonical]
// would write otherwise is an error that wraps [privacy.ErrDamaged]. It says nothing
// about the meaning; see [Facts.Validate].
func ParseFacts(canonical []byte) (Facts, error) {
	var d factsDocument
	if err := json.Unmarshal(canonical, &d); err != nil {
		return Facts{}, fmt.Errorf("parsing facts: %w", privacy.ErrDamaged)
	}
	facts := Facts{
		Action: d.Action, Role: d.Role, Recipient: d.Recipient, Purpose: d.Purpose, Channel: d.Channel,
		Reference: d.Reference, Subject: SubjectFacts(d.Subject), Consent: ConsentFacts(d.Consent),
		Trigger: d.Trigger, Case: d.Case, Grants: d.Grants, Categories: d.Categories,
	}
	if d.V != FactsVersion || !bytes.Equal(facts.Canonical(), canonical) {
		return Facts{}, fmt.Errorf("parsing facts: not in their canonical form: %w", privacy.ErrDamaged)
	}
	return facts, nil
}
