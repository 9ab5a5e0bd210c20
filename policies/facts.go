package policies

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

// FactsVersion is the version of the facts schema, mahrem.facts/v1.
const FactsVersion = 1

// Answer is a fact that is yes, no or not known. No rule passes on unknown.
type Answer string

// The answers. Facts that must be definite use only Yes and No.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "unknown"
)

// YesNo returns [Yes] or [No].
func YesNo(b bool) Answer {
	if b {
		return Yes
	}
	return No
}

// Action is what the caller wants to do.
type Action string

// The actions.
const (
	// Personalize asks for attributes of one person.
	Personalize Action = "personalize"
	// Audience asks for the pseudonyms of many people who meet conditions.
	Audience Action = "audience"
	// Reidentify asks who is behind a pseudonym.
	Reidentify Action = "reidentify"
)

// Reference says how the caller pointed at the person: by the pseudonym made for this
// recipient, or by an identifier of some kind (whose name is then the reference).
// Whoever brings an e-mail address and takes a profile home has enriched it.
type Reference string

// ByPseudonym is the ordinary reference.
const ByPseudonym Reference = "pseudonym"

// ByIdentifier returns the reference for an identifier kind.
func ByIdentifier(kind privacy.IdentifierKind) Reference { return Reference(kind) }

// AgeGroup is the person's age as far as law distinguishes it. [Catalogue.AgeGroup]
// computes it.
type AgeGroup string

// The age groups.
const (
	// Child is below the age of digital consent (GDPR Article 8).
	Child AgeGroup = "child"
	// Youth may consent but is not of age.
	Youth AgeGroup = "youth"
	// Adult is of age.
	Adult AgeGroup = "adult"
	// AgeUnknown is treated as nobody's age.
	AgeUnknown AgeGroup = "unknown"
)

// Household says whether post to the person's address reaches other people too.
type Household string

// The households.
const (
	SingleHousehold  Household = "single"
	SharedHousehold  Household = "shared"
	UnknownHousehold Household = "unknown"
)

// ConsentState is the current state of the consent ledger for purpose and channel.
type ConsentState string

// The consent states.
const (
	ConsentGranted    ConsentState = "granted"
	ConsentWithdrawn  ConsentState = "withdrawn"
	ConsentRefused    ConsentState = "refused"
	ConsentObjected   ConsentState = "objected"
	ConsentExpired    ConsentState = "expired"
	ConsentNeverAsked ConsentState = "never_asked"
	// ConsentStaleNotice is a yes to a wording that has changed in substance since. The
	// purpose says in the catalogue whether it still counts; see [Purpose.YesStates].
	ConsentStaleNotice ConsentState = "stale_notice"
	// ConsentGuardianMissing is a child's own yes, or one by somebody whose authority over
	// the child was not verified (GDPR Article 8). It is none for any purpose.
	ConsentGuardianMissing ConsentState = "guardian_missing"
)

// ConsentStates returns the states, in a fixed order.
func ConsentStates() []ConsentState {
	return []ConsentState{
		ConsentGranted, ConsentWithdrawn, ConsentRefused, ConsentObjected, ConsentExpired, ConsentNeverAsked,
		ConsentStaleNotice, ConsentGuardianMissing,
	}
}

// NoBasis stands for "no legal basis" in facts and plans.
const NoBasis privacy.LegalBasis = "none"

// Freshness is the age of the trigger that the query names against the window that the
// purpose allows.
type Freshness string

// The freshness values.
const (
	NoTrigger    Freshness = "none"
	FreshTrigger Freshness = "fresh"
	StaleTrigger Freshness = "stale"
)

// Case says whether the caller is handling a case that the person opened.
type Case string

// The case values.
const (
	NoCase      Case = "none"
	HandledCase Case = "handled"
)

// NoRecipient stands for the recipient of a caller that speaks for none, such as a DPO.
const NoRecipient privacy.RecipientID = "none"

// Facts is everything a decision depends on, mahrem.facts/v1: a small, finite document
// of closed enums and catalogue keys. There is no time, no score, no identifier and
// nothing that came from the person or the caller unchecked: the gate computes each
// fact. A value outside its enum is not an error here; no check passes on it.
type Facts struct {
	Action    Action
	Role      privacy.Role
	Recipient privacy.RecipientID
	Purpose   privacy.Purpose
	Channel   privacy.Channel
	Reference Reference
	Subject   SubjectFacts
	Consent   ConsentFacts
	Trigger   Freshness
	Case      Case
	// Grants are the data categories with a live explicit consent for this purpose
	// (GDPR Article 9(2)(a)).
	Grants []privacy.DataCategory
	// Categories are the data categories of the requested attributes.
	Categories []privacy.DataCategory
}

// SubjectFacts are the facts about the data subject.
type SubjectFacts struct {
	// Known is whether the person exists here.
	Known Answer
	// Age is the person's age group.
	Age AgeGroup
	// Jurisdiction is a catalogue key, as [Catalogue.JurisdictionOf] returns it.
	Jurisdiction privacy.Jurisdiction
	// Restricted is whether processing is restricted (GDPR Article 18).
	Restricted Answer
	// Objected is whether an objection covers this purpose (GDPR Article 21): one to the
	// purpose itself, or for a marketing purpose one to marketing as a whole.
	Objected Answer
	// Household says whether post reaches other people too.
	Household Household
}

// ConsentFacts are the facts about the one ledger state for purpose and channel.
type ConsentFacts struct {
	// State is the folded state; no record is never_asked.
	State ConsentState
	// Explicit is whether the consent was given explicitly.
	Explicit Answer
	// Basis is the legal basis of the current record, [NoBasis] without one.
	Basis privacy.LegalBasis
	// Incentive is whether something was given in return.
	Incentive Answer
}

// Limits of a well-formed facts document.
const (
	maxWord = 64
	maxList = 64
)

// Validate reports whether the facts have the form of mahrem.facts/v1: short words of
// letters, digits and "_.-*" and short lists. It says nothing about their meaning. The
// error wraps [privacy.ErrInvalid].
func (f *Facts) Validate() error {
	for _, word := range f.words() {
		if !isWord(word) {
			return fmt.Errorf("checking facts: a word is malformed: %w", privacy.ErrInvalid)
		}
	}
	if len(f.Grants) > maxList || len(f.Categories) > maxList {
		return fmt.Errorf("checking facts: a list is too long: %w", privacy.ErrInvalid)
	}
	for _, list := range [...][]privacy.DataCategory{f.Grants, f.Categories} {
		for _, category := range list {
			if !isWord(string(category)) {
				return fmt.Errorf("checking facts: a category is malformed: %w", privacy.ErrInvalid)
			}
		}
	}
	return nil
}

func (f *Facts) words() [18]string {
	return [...]string{
		string(f.Action), string(f.Role), string(f.Recipient), string(f.Purpose), string(f.Channel),
		string(f.Reference), string(f.Subject.Known), string(f.Subject.Age), string(f.Subject.Jurisdiction),
		string(f.Subject.Restricted), string(f.Subject.Objected), string(f.Subject.Household),
		string(f.Consent.State), string(f.Consent.Explicit), string(f.Consent.Basis), string(f.Consent.Incentive),
		string(f.Trigger), string(f.Case),
	}
}

func isWord(s string) bool {
	if s == "" || len(s) > maxWord {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '_', c == '.', c == '-', c == '*':
		default:
			return false
		}
	}
	return true
}

// Canonical returns the one byte form of the facts: JSON with fixed key order, no
// spaces, lists sorted and without duplicates. Two facts that must be decided alike
// have equal canonical bytes.
func (f *Facts) Canonical() []byte { return f.AppendCanonical(make([]byte, 0, 640)) }

// Digest returns the SHA-256 of the canonical bytes, which the audit log keeps.
func (f *Facts) Digest() [sha256.Size]byte { return sha256.Sum256(f.Canonical()) }

// AppendCanonical appends the canonical bytes to b. It allocates nothing when b has
// room and the lists are sorted already.
func (f *Facts) AppendCanonical(b []byte) []byte {
	b = append(b, `{"v":1,"action":"`...)
	b = append(b, f.Action...)
	b = append(b, `","role":"`...)
	b = append(b, f.Role...)
	b = append(b, `","recipient":"`...)
	b = append(b, f.Recipient...)
	b = append(b, `","purpose":"`...)
	b = append(b, f.Purpose...)
	b = append(b, `","channel":"`...)
	b = append(b, f.Channel...)
	b = append(b, `","reference":"`...)
	b = append(b, f.Reference...)
	b = append(b, `","subject":{"known":"`...)
	b = append(b, f.Subject.Known...)
	b = append(b, `","age":"`...)
	b = append(b, f.Subject.Age...)
	b = append(b, `","jurisdiction":"`...)
	b = append(b, f.Subject.Jurisdiction...)
	b = append(b, `","restricted":"`...)
	b = append(b, f.Subject.Restricted...)
	b = append(b, `","objected":"`...)
	b = append(b, f.Subject.Objected...)
	b = append(b, `","household":"`...)
	b = append(b, f.Subject.Household...)
	b = append(b, `"},"consent":{"state":"`...)
	b = append(b, f.Consent.State...)
	b = append(b, `","explicit":"`...)
	b = append(b, f.Consent.Explicit...)
	b = append(b, `","basis":"`...)
	b = append(b, f.Consent.Basis...)
	b = append(b, `","incentive":"`...)
	b = append(b, f.Consent.Incentive...)
	b = append(b, `"},"trigger":"`...)
	b = append(b, f.Trigger...)
	b = append(b, `","case":"`...)
	b = append(b, f.Case...)
	b = append(b, `","grants":[`...)
	b = appendList(b, f.Grants)
	b = append(b, `],"categories":[`...)
	b = appendList(b, f.Categories)
	return append(b, `]}`...)
}

func appendList(b []byte, list []privacy.DataCategory) []byte {
	for i, category := range canonicalList(list) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, category...)
		b = append(b, '"')
	}
	return b
}

// canonicalList returns list itself when it is sorted and free of duplicates, else a
// copy that is.
func canonicalList(list []privacy.DataCategory) []privacy.DataCategory {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			sorted := slices.Clone(list)
			slices.Sort(sorted)
			return slices.Compact(sorted)
		}
	}
	return list
}
