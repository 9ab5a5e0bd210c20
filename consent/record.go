package consent

import (
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Action is what a person did.
type Action string

// The actions. Withdrawing ends a grant (GDPR Article 7(3)); objecting forbids
// processing that never needed a grant (Article 21) and is the stronger of the two.
const (
	Granted   Action = "granted"
	Renewed   Action = "renewed" // a grant that was asked for again and given again
	Refused   Action = "refused"
	Withdrawn Action = "withdrawn"
	// Expired is written by the house itself: a grant reached its end, or a birthday
	// opened the question again.
	Expired  Action = "expired"
	Objected Action = "objected"
	// What the holder of parental responsibility did for a child (Article 8).
	GuardianGranted   Action = "guardian_granted"
	GuardianWithdrawn Action = "guardian_withdrawn"
)

// ParseAction returns the action that s names. ok is false for anything else.
func ParseAction(s string) (action Action, ok bool) {
	switch action := Action(s); action {
	case Granted, Renewed, Refused, Withdrawn, Expired, Objected, GuardianGranted, GuardianWithdrawn:
		return action, true
	}
	return "", false
}

// IsYes reports whether the action permits something. Every other one is a no.
func (a Action) IsYes() bool { return a == Granted || a == Renewed || a == GuardianGranted }

// Actor is who acted.
type Actor string

// The actors.
const (
	ByDataSubject Actor = "data_subject"
	ByGuardian    Actor = "guardian"
	ByAgent       Actor = "agent"    // somebody whom the person authorized
	ByRegistry    Actor = "registry" // a national registry that the person told
	BySystem      Actor = "system"   // the house itself: an end that was reached
)

func (a Actor) known() bool {
	switch a {
	case ByDataSubject, ByGuardian, ByAgent, ByRegistry, BySystem:
		return true
	}
	return false
}

// Kind is the kind of the audit event that an action commits with.
func (a Action) Kind() audit.Kind {
	switch a {
	case Granted:
		return audit.ConsentGranted
	case Renewed:
		return audit.ConsentRenewed
	case Refused:
		return audit.ConsentRefused
	case Expired:
		return audit.ConsentExpired
	case Objected:
		return audit.ConsentObjected
	case GuardianGranted:
		return audit.ConsentGuardianGranted
	case GuardianWithdrawn:
		return audit.ConsentGuardianWithdrawn
	}
	return audit.ConsentWithdrawn
}

// protection orders actions for ties: of two choices made at the same instant the
// higher one counts. An action that this version does not know protects the most.
func (a Action) protection() int {
	switch a {
	case Granted, Renewed, GuardianGranted:
		return 0
	case Expired:
		return 1
	case Refused:
		return 2
	case Withdrawn, GuardianWithdrawn:
		return 3
	case Objected:
		return 4
	}
	return 5
}

// Record is one line of the ledger. It is never changed after it was added.
type Record struct {
	// ID is 16 random bytes. Two records with one ID are one record.
	ID [16]byte
	// DataSubject is the person.
	DataSubject privacy.DataSubjectID
	// Purpose is what the choice is about: one record, one purpose (Article 6(1)(a):
	// "one or more specific purposes", each asked for itself).
	Purpose privacy.Purpose
	// Channel is the way of reaching the person; [privacy.AnyChannel] means all.
	Channel privacy.Channel
	// Action is what the person did.
	Action Action
	// Basis is the ground on which the processing stands or stood.
	Basis privacy.LegalBasis
	// Explicit is whether the grant was express, as Article 9(2)(a) demands for special
	// categories and Article 22(2)(c) for automated decisions.
	Explicit bool
	// Categories are the special categories that an explicit grant names, sorted.
	Categories []privacy.DataCategory
	// NoticeVersion names the text that the person was shown.
	NoticeVersion string
	// Source says where the choice was made: "web_form", "call_centre".
	Source string
	// Incentive is whether something was given in return (a discount, points).
	Incentive bool
	// Actor is who acted; empty in rows from before it was recorded, which counts as the
	// person.
	Actor Actor
	// GuardianVerified is whether the authority of the guardian who acted was verified
	// (Article 8(2)).
	GuardianVerified bool
	// Language is that of the text that was shown, a tag of BCP 47.
	Language string
	// EvidenceRef is where the evidence is: a form's submission, a recording. A reference
	// and never prose.
	EvidenceRef string
	// Jurisdiction is the law under which the person was asked.
	Jurisdiction privacy.Jurisdiction
	// Salt is random and part of what the log commits to; it goes with the row.
	Salt [16]byte
	// StaleAt is the moment from which the wording that was shown is out of date for the
	// purpose; zero means that it is not. Stores set it from the notices when they read.
	StaleAt time.Time
	// EffectiveAt is when the person chose. Zero, when adding, means the moment at
	// which the store records it.
	EffectiveAt time.Time
	// RecordedAt is when the ledger learned of it. The store sets it.
	RecordedAt time.Time
	// ValidUntil is when a grant ends by itself; zero means that it does not.
	ValidUntil time.Time
}

// appliesTo reports whether a choice for channel c binds a query on channel.
func (r *Record) appliesTo(channel privacy.Channel) bool {
	return r.Channel == channel || r.Channel == privacy.AnyChannel
}

// expiredAt reports whether a grant has ended by itself.
func (r *Record) expiredAt(at time.Time) bool {
	return !r.ValidUntil.IsZero() && !at.Before(r.ValidUntil)
}

// byGuardian reports whether somebody else than the person said it, for a child.
func (r *Record) byGuardian() bool { return r.Actor == ByGuardian || r.Action == GuardianGranted }
