package consent

import (
	"bytes"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// State is what the records amount to. Only [StateGranted] is a yes.
type State string

// The states.
const (
	StateGranted    State = "granted"
	StateWithdrawn  State = "withdrawn"
	StateRefused    State = "refused"
	StateObjected   State = "objected"
	StateExpired    State = "expired"
	StateNeverAsked State = "never_asked"
	// StateStaleNotice is a standing yes to a wording that is out of date for the purpose.
	StateStaleNotice State = "stale_notice"
	// StateGuardianMissing is a child's own yes, or that of a guardian whose authority was
	// not verified (Article 8).
	StateGuardianMissing State = "guardian_missing"
)

// Current is the state for one purpose and channel at one moment, with what it stands
// on. The zero value is not a state; [Fold] always sets one.
type Current struct {
	// State is the answer.
	State State
	// Record is the ID of the record that decided; zero for never_asked.
	Record [16]byte
	// Basis is the ground that the deciding record names.
	Basis privacy.LegalBasis
	// Explicit and Categories are those of a standing grant, otherwise empty.
	Explicit   bool
	Categories []privacy.DataCategory
	// Incentive is whether a standing grant was given for something in return.
	Incentive bool
	// NoticeVersion is the notice of the deciding record.
	NoticeVersion string
	// Since is when the deciding choice was made.
	Since time.Time
	// Until is the first moment after which the same records may amount to something
	// else: a grant ends, or a choice dated later begins. Zero means never. A decision
	// must not be kept beyond it.
	Until time.Time
}

// Objects reports whether the person's objection stands.
func (c Current) Objects() bool { return c.State == StateObjected }

// Fold computes the state for channel at the moment at, from records of one person and
// one purpose in any order ([ForPurpose] picks them).
//
//  1. Only records whose channel is the asked one or [privacy.AnyChannel], and which
//     were effective at or before the moment, count.
//  2. The latest of them decides, whichever of the two channels it names: so a
//     withdrawal for "*" ends every channel, and a later grant for one channel reopens
//     that channel alone.
//  3. Of records with the same time the most protective decides: objected, withdrawn,
//     refused, granted; of two grants the one that is not explicit, ends earlier, names
//     fewer categories.
//  4. A grant that has reached its end is expired. A longer grant before it does not
//     come back.
//  5. Once a person has objected, the answer stays objected unless the deciding record
//     is an explicit grant, on the basis of consent, made strictly later, that has not
//     ended. A routine opt-in does not undo an objection, and when the explicit grant
//     ends the objection is there again (Article 21(3)).
//  6. No record is never_asked.
//
// In order that an acknowledged withdrawal binds the very next query although machines'
// clocks differ, records and queries take their time from one clock: the database's.
// The store never dates a record later than that clock, and at should be read in the
// same statement as the records.
func Fold(records []Record, channel privacy.Channel, at time.Time) Current {
	var deciding, objection *Record
	var until time.Time
	for i := range records {
		r := &records[i]
		if !r.appliesTo(channel) {
			continue
		}
		if r.EffectiveAt.After(at) {
			until = earlier(until, r.EffectiveAt)
			continue
		}
		if deciding == nil || decides(r, deciding) {
			deciding = r
		}
		if r.Action == Objected && (objection == nil || decides(r, objection)) {
			objection = r
		}
	}
	if deciding == nil {
		return Current{State: StateNeverAsked, Until: until}
	}
	if objection != nil && !lifts(deciding, objection, at) {
		return current(objection, StateObjected, until)
	}
	switch deciding.Action {
	case Granted:
		if deciding.expiredAt(at) {
			return current(deciding, StateExpired, until)
		}
		c := current(deciding, StateGranted, earlier(until, deciding.ValidUntil))
		c.Explicit, c.Incentive = deciding.Explicit, deciding.Incentive
		if deciding.Explicit {
			c.Categories = deciding.Categories
		}
		return c
	case Withdrawn:
		return current(deciding, StateWithdrawn, until)
	default: // refused, or an action that this version does not know: a no
		return current(deciding, StateRefused, until)
	}
}

// ForPurpose returns the records about one purpose, in their order.
func ForPurpose(records []Record, purpose privacy.Purpose) []Record {
	var of []Record
	for _, r := range records {
		if r.Purpose == purpose {
			of = append(of, r)
		}
	}
	return of
}

// lifts reports whether r, at the moment at, sets the objection aside (rule 5).
func lifts(r, objection *Record, at time.Time) bool {
	return r.Action == Granted && r.Explicit && r.Basis == privacy.Consent &&
		r.EffectiveAt.After(objection.EffectiveAt) && !r.expiredAt(at)
}

// decides reports whether a goes before b (rules 2 and 3). It is a strict order over
// records with different IDs, which makes the fold independent of their sequence.
func decides(a, b *Record) bool {
	if !a.EffectiveAt.Equal(b.EffectiveAt) {
		return a.EffectiveAt.After(b.EffectiveAt)
	}
	if pa, pb := a.Action.protection(), b.Action.protection(); pa != pb {
		return pa > pb
	}
	if a.Explicit != b.Explicit {
		return !a.Explicit
	}
	if !a.ValidUntil.Equal(b.ValidUntil) {
		return !a.ValidUntil.IsZero() && (b.ValidUntil.IsZero() || a.ValidUntil.Before(b.ValidUntil))
	}
	if len(a.Categories) != len(b.Categories) {
		return len(a.Categories) < len(b.Categories)
	}
	return bytes.Compare(a.ID[:], b.ID[:]) > 0
}

func current(r *Record, state State, until time.Time) Current {
	return Current{
		State: state, Record: r.ID, Basis: r.Basis, NoticeVersion: r.NoticeVersion,
		Since: r.EffectiveAt, Until: until,
	}
}

// earlier returns the earlier of two times, where zero means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
