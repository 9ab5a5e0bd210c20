package dsar

import "github.com/mahrem/mahrem/audit"

// Check is the name of a condition of the machine. It stands in the log when a step was
// refused by it.
type Check string

// The checks.
const (
	CheckState            Check = "request.state"       // the state allows the action
	CheckKind             Check = "request.kind"        // the kind of request knows the action
	CheckIdentityProved   Check = "identity.proved"     // the person has proved who they are
	CheckIdentityNeedless Check = "identity.not_needed" // the kind of request is carried out without proof
	CheckRunning          Check = "clock.running"       // the clock runs
	CheckPaused           Check = "clock.paused"        // the clock stands still
	CheckClock            Check = "clock.allows"        // the law of the request allows it, see dsar/clock
	CheckText             Check = "note.written"        // there is something to note
	CheckEvidence         Check = "evidence.given"      // there is a digest of what was done
	CheckErased           Check = "erasure.done"        // an erasure has destroyed the key
	CheckNotErased        Check = "erasure.not_done"    // it has not yet
	CheckReason           Check = "denial.reason"       // the reason is on the list, and the law of the request has it
	CheckVersion          Check = "request.not_changed" // nobody else took a step meanwhile
	CheckProof            Check = "identity.proof"      // how identity was proved is on the list
	CheckOutcome          Check = "complaint.outcome"   // a complaint ends with an outcome of the list, and nothing else has one
)

// NeedsProof reports whether a request of this kind is carried out only for somebody who
// has proved who they are. To stop or limit what is done with data, and to look into a
// complaint, takes no proof: it tells nobody anything and destroys nothing.
func (k Kind) NeedsProof() bool { return k != Restriction && k != Objection && k != Complaint }

// pass reports whether the request and the move meet a check that needs no clock.
func (c Check) pass(r *Request, m *Move) *Refusal {
	law := lawOf(r.Regime)
	switch c {
	case CheckIdentityProved:
		if r.Kind.NeedsProof() && r.VerifiedAt.IsZero() {
			return &Refusal{string(c), law.identity, "the person has not proved who they are"}
		}
	case CheckIdentityNeedless:
		if r.Kind.NeedsProof() {
			return &Refusal{string(c), law.identity, "a request of this kind is carried out only for somebody who has proved who they are"}
		}
	case CheckProof:
		if !m.Proof.isKnown() {
			return &Refusal{string(c), law.identity, "how identity was proved is not one of the list"}
		}
	case CheckRunning:
		if !r.PausedAt.IsZero() {
			return &Refusal{string(c), law.pause, "the clock stands still already"}
		}
	case CheckPaused:
		if r.PausedAt.IsZero() {
			return &Refusal{string(c), law.pause, "the clock does not stand still"}
		}
	case CheckText:
		if m.Note.IsEmpty() {
			return &Refusal{string(c), "", "there is nothing to note"}
		}
	case CheckEvidence:
		if m.Evidence == (audit.Digest{}) {
			return &Refusal{string(c), law.accountability, "a request is fulfilled with the digest of what was done"}
		}
	case CheckErased:
		if r.Kind == Erasure && r.ErasedAt.IsZero() {
			return &Refusal{string(c), law.erasure, "nothing has been erased yet"}
		}
	case CheckNotErased:
		if !r.ErasedAt.IsZero() {
			return &Refusal{string(c), law.erasure, "the person was erased, which cannot be taken back"}
		}
	case CheckOutcome:
		if (r.Kind == Complaint) != m.Outcome.IsKnown() || r.Kind != Complaint && m.Outcome != "" {
			return &Refusal{string(c), law.accountability, "a complaint ends with an outcome of the list, and nothing else has one"}
		}
	case CheckReason:
		if _, ok := m.Denial.Article(r.Regime, r.Kind); !ok {
			if !m.Denial.IsKnown() {
				return &Refusal{string(c), law.denial, "the reason is not one of the list"}
			}
			return &Refusal{string(c), law.denial, "the law of this request knows no such ground"}
		}
	}
	return nil
}
