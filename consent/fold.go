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

// IsYes reports whether somebody said yes and may still mean it: [StateGranted], and
// [StateStaleNotice], of which the catalogue says whether it counts.
func (s State) IsYes() bool { return s == StateGranted || s == StateStaleNotice }

// Current is the state for one purpose and channel at one moment, with what it stands
// on. The zero value is not a state; [Fold] always sets one.
type Current struct {
	// State is the answer.
	State State
	// Record is the ID of the record that decided; zero for never_asked.
	Record [16]byte
	// Basis is the ground that the deciding record names.
	Basis privacy.LegalBasis
	// Explicit and Categories are those of a standing yes, otherwise empty.
	Explicit   bool
	Categories []privacy.DataCategory
	// Incentive is whether a standing yes was given for something in return.
	Incentive bool
	// NoticeVersion is the notice of the deciding record.
	NoticeVersion string
	// Since is when the deciding choice was made.
	Since time.Time
	// Until is the first moment after which the same records may amount to something
	// else: a grant ends, its wording goes out of date, a child grows up, or a choice dated
	// later begins. Zero means never. A decision must not be kept beyond it.
	Until time.Time
}

// Objects reports whether the person's objection stands.
func (c Current) Objects() bool { return c.State == StateObjected }

// Childhood tells whether the law calls the person a child at a moment, one who cannot
// consent alone (GDPR Article 8), and until when it does. Nil: nobody knows the age.
type Childhood func(at time.Time) (child bool, until time.Time)

func (c Childhood) at(at time.Time) (bool, time.Time) {
	if c == nil {
		return false, time.Time{}
	}
	return c(at)
}

// Fold is [FoldFor] of somebody whose age nobody knows: a guardian's yes is none.
func Fold(records []Record, channel privacy.Channel, at time.Time) Current {
	return FoldFor(records, channel, at, nil)
}

// FoldKnown is what [FoldFor] said at the moment known, when the ledger had not learned yet
// of what was recorded later.
func FoldKnown(records []Record, channel privacy.Channel, at, known time.Time, childhood Childhood) Current {
	return FoldFor(KnownAt(records, known), channel, at, childhood)
}

// KnownAt returns the records that the ledger had at a moment, in their order.
func KnownAt(records []Record, known time.Time) []Record {
	var had []Record
	for i := range records {
		if !records[i].RecordedAt.After(known) {
			had = append(had, records[i])
		}
	}
	return had
}

// FoldFor computes the state for channel at the moment at, from records of one person and
// one purpose in any order ([ForPurpose] picks them).
//
//  1. Only records whose channel is the asked one or [privacy.AnyChannel], and which
//     were effective at or before the moment, count.
//  2. The latest choice decides, whichever of the two channels it names: so a
//     withdrawal for "*" ends every channel, and a later grant for one channel reopens
//     that channel alone. [Expired] is no choice of anybody: it ends the yeses that are not
//     later than itself, and leaves a no what it is.
//  3. Of choices with the same time the most protective decides: objected, withdrawn,
//     refused, granted; of two yeses the one that is not explicit, ends earlier, names
//     fewer categories.
//  4. A yes that has reached its end is expired. A longer one before it does not come
//     back.
//  5. A guardian's yes counts while the person is a child, if the guardian was verified;
//     a child's own does not count, then or later. What a child is left without is
//     guardian_missing; whoever is a child no longer has to be asked anew: expired.
//  6. A yes to a wording that is out of date is stale_notice.
//  7. Once a person has objected, the answer stays objected unless the deciding record
//     is an explicit yes, on the basis of consent, made strictly later, that stands by
//     rules 4 to 6. A routine opt-in does not undo an objection, and when the explicit yes
//     ends the objection is there again (Article 21(3)).
//  8. No record is never_asked.
//
// In order that an acknowledged withdrawal binds the very next query although machines'
// clocks differ, records and queries take their time from one clock: the database's.
// The store never dates a record later than that clock, and at should be read in the
// same statement as the records.
func FoldFor(records []Record, channel privacy.Channel, at time.Time, childhood Childhood) Current {
	var deciding, objection, end *Record
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
		if r.Action == Expired {
			if end == nil || decides(r, end) {
				end = r
			}
			continue
		}
		if deciding == nil || decides(r, deciding) {
			deciding = r
		}
		if r.Action == Objected && (objection == nil || decides(r, objection)) {
			objection = r
		}
	}
	switch {
	case deciding == nil && end == nil:
		return Current{State: StateNeverAsked, Until: until}
	case deciding == nil: // the end of a yes that nobody knows of, on whatever ground
		c := current(end, StateExpired, until)
		c.Basis = ""
		return c
	case deciding.Action.IsYes():
		state, changes := deciding.stands(end, at, childhood)
		until = earlier(until, changes)
		if objection != nil && !(state == StateGranted && deciding.lifts(objection)) {
			return current(objection, StateObjected, until)
		}
		c := current(deciding, state, until)
		if state.IsYes() {
			c.Explicit, c.Incentive = deciding.Explicit, deciding.Incentive
			if deciding.Explicit {
				c.Categories = deciding.Categories
			}
		}
		return c
	case objection != nil:
		return current(objection, StateObjected, until)
	case deciding.Action == Withdrawn, deciding.Action == GuardianWithdrawn:
		return current(deciding, StateWithdrawn, until)
	default: // refused, or an action that this version does not know: a no
		return current(deciding, StateRefused, until)
	}
}

// stands tells what a yes that decides amounts to (rules 4 to 6), and until when.
func (r *Record) stands(end *Record, at time.Time, childhood Childhood) (State, time.Time) {
	if r.expiredAt(at) || end != nil && !r.EffectiveAt.After(end.EffectiveAt) {
		return StateExpired, time.Time{}
	}
	child, grown := childhood.at(at)
	switch {
	case child && !(r.byGuardian() && r.GuardianVerified):
		return StateGuardianMissing, earlier(r.ValidUntil, grown)
	case !child && r.byGuardian():
		return StateExpired, time.Time{}
	case !child:
		if then, _ := childhood.at(r.EffectiveAt); then {
			return StateExpired, time.Time{}
		}
	}
	until := earlier(r.ValidUntil, grown)
	if !r.StaleAt.IsZero() && !at.Before(r.StaleAt) {
		return StateStaleNotice, until
	}
	return StateGranted, earlier(until, r.StaleAt)
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

// lifts reports whether r, if it stands, sets the objection aside (rule 7).
func (r *Record) lifts(objection *Record) bool {
	return r.Explicit && r.Basis == privacy.Consent && r.EffectiveAt.After(objection.EffectiveAt)
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
