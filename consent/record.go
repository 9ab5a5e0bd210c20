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
	Refused   Action = "refused"
	Withdrawn Action = "withdrawn"
	Objected  Action = "objected"
)

// ParseAction returns the action that s names. ok is false for anything else.
func ParseAction(s string) (action Action, ok bool) {
	switch action := Action(s); action {
	case Granted, Refused, Withdrawn, Objected:
		return action, true
	}
	return "", false
}

// Kind is the kind of the audit event that an action commits with.
func (a Action) Kind() audit.Kind {
	switch a {
	case Granted:
		return audit.ConsentGranted
	case Refused:
		return audit.ConsentRefused
	case Objected:
		return audit.ConsentObjected
	}
	return audit.ConsentWithdrawn
}

// protection orders actions for ties: of two choices made at the same instant the
// higher one counts. An action that this version does not know protects the most.
func (a Action) protection() int {
	switch a {
	case Granted:
		return 0
	case Refused:
		return 1
	case Withdrawn:
		return 2
	case Objected:
		return 3
	}
	return 4
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
