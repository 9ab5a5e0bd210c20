package dsar

import (
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// Via says how a request reached the controller.
type Via string

// The ways.
const (
	ViaCLI     Via = "cli"
	ViaAPI     Via = "api"
	ViaOpenDSR Via = "opendsr"
)

// Languages lists those that letters are written in.
func Languages() []string { return []string{"en", "tr", "cs"} }

// Request is one request as it is recorded. There is nothing in it that the person wrote:
// that is in the sealed [Contents].
type Request struct {
	ID    RequestID
	Kind  Kind
	State State
	// Regime is the body of law whose clock runs, as package clock names it.
	Regime       string
	Jurisdiction privacy.Jurisdiction
	Language     string
	// DataSubject is whom it is about; zero for somebody who is unknown, and once they were
	// erased.
	DataSubject privacy.DataSubjectID
	// Tags are keyed tags of the identifiers that the request names.
	Tags [][16]byte
	Via  Via
	// ReceivedAt is when it reached the controller; the law counts from it.
	ReceivedAt time.Time
	// StartedAt is the beginning of the day on which the clock started; zero while the law
	// waits for proof of identity.
	StartedAt time.Time
	// AcknowledgeBy is zero where the law wants no confirmation.
	AcknowledgeBy time.Time
	// DueAt is the last moment of the period; zero while the clock stands still. It is
	// stored when it is set or moved and never counted again from days.
	DueAt      time.Time
	ExtendedAt time.Time
	// PausedAt is since when the clock stands still; zero if it runs.
	PausedAt   time.Time
	Pauses     []clock.Pause
	VerifiedAt time.Time
	ErasedAt   time.Time
	ClosedAt   time.Time
	Denial     DenialReason
	// Category and Number are those of a complaint, and empty for everything else. The
	// store gives the number.
	Category Category
	Number   ComplaintNumber
	// Outcome is what came of a complaint that was answered.
	Outcome ComplaintOutcome
	// DuplicateOf is an older open request of the same person and kind.
	DuplicateOf RequestID
	// OpenedBy is the actor tag of who opened it.
	OpenedBy [16]byte
	// Sealed are the contents, under the key of the request.
	Sealed []byte
	// Version counts the steps; the number of the last one is the same.
	Version int64
}

// IsOverdue reports whether the period has passed.
func (r *Request) IsOverdue(at time.Time) bool {
	return !r.State.Closed() && !r.DueAt.IsZero() && at.After(r.DueAt)
}

// DaysLeft counts the whole days until the last moment of the period; it is negative once
// that has passed, and false if nothing is due.
func (r *Request) DaysLeft(at time.Time) (int, bool) {
	if r.State.Closed() || r.DueAt.IsZero() {
		return 0, false
	}
	left := r.DueAt.Sub(at)
	days := int(left / (24 * time.Hour))
	if left < 0 {
		days--
	}
	return days, true
}

// clone returns a copy whose lists are its own.
func (r *Request) clone() Request {
	c := *r
	c.Pauses = slices.Clone(r.Pauses)
	return c
}

// Step is one step that a request took.
type Step struct {
	Request RequestID
	// Number counts from one.
	Number   int64
	Action   Action
	From, To State
	At       time.Time
	// By is the actor tag of who took it.
	By [16]byte
	// Sealed is the [Detail], under the key of the request. Nil: there is none.
	Sealed []byte
}

// Proof is how somebody proved who they are. No copy of a document is among them.
type Proof string

// The proofs.
const (
	ProofCode      Proof = "one_time_code"
	ProofSession   Proof = "session"   // a service's statement that the person is signed in
	ProofJudgement Proof = "judgement" // of a data protection officer
	ProofAttested  Proof = "attested"  // by the controller who sent the request
)

func (p Proof) isKnown() bool {
	return slices.Contains([]Proof{ProofCode, ProofSession, ProofJudgement, ProofAttested}, p)
}

// Evidence is what shows that a request was fulfilled.
type Evidence struct {
	// Digest is the SHA-256 of what was done or handed over: an export, a certificate, the
	// record of a rectification.
	Digest audit.Digest
}

// Move is a step that somebody wants to take, with what belongs to it.
type Move struct {
	Action Action
	// Version, if it is not zero, is the version that the caller has seen: the step is
	// refused if somebody took another one since.
	Version int64
	// Ground is what the clock waits for, of a pause.
	Ground clock.Ground
	// Extension is why more time is needed.
	Extension clock.ExtensionReason
	Denial    DenialReason
	// Outcome is what came of a complaint, which is fulfilled with it.
	Outcome  ComplaintOutcome
	Proof    Proof
	Evidence audit.Digest
	// Note is kept sealed with the step.
	Note privacy.Plain
	// List, if it is not zero, stands in the log in the place of the digest of the step.
	List audit.Digest
}

// Change is a step that the machine has allowed, ready to be committed with its event.
type Change struct {
	// Before is the version that it starts from. It MUST NOT be committed if the stored
	// one is another.
	Before int64
	// After is the request as it will be.
	After Request
	Step  Step
	Event audit.Event
}
