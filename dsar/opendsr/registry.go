package opendsr

import (
	"context"
	"regexp"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// Processor is somebody whom requests are passed on to.
type Processor struct {
	// ID is the word by which it is named here, and in the outbox.
	ID string
	// Recipient is the recipient of the catalogue that it is.
	Recipient privacy.RecipientID
	// Domain is the domain in whose name it signs.
	Domain string
	// Base is the address below which it serves the versions of the protocol.
	Base    string
	Version Version
	// Roots are the authorities that are believed for it, in PEM; empty: those of the machine.
	Roots string
	// Certificate is its own and those between it and an authority, in PEM.
	Certificate   string
	CertificateAt time.Time
	// EmailFormat is the form in which it knows addresses; empty: it does not.
	EmailFormat Format
	// SealedToken is the token that it is shown, sealed as a thing of the house.
	SealedToken []byte
	AddedBy     [16]byte
	AddedAt     time.Time
	RetiredAt   time.Time
}

// TokenLabel is the label under which the token of a processor is sealed.
func TokenLabel(processor string) string { return "opendsr/token/" + processor }

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)

// Check refuses what no registry may take, with a [privacy.FieldError].
func (p *Processor) Check() error {
	fault := func(pointer, reason string) error { return &privacy.FieldError{Pointer: pointer, Reason: reason} }
	if !namePattern.MatchString(p.ID) {
		return fault("/processor_id", "must be a word of a-z, 0-9, '_', '.' and '-', beginning with a letter")
	}
	if p.Recipient == "" {
		return fault("/recipient", "must be a recipient of the catalogue")
	}
	if !isDomain(p.Domain) {
		return fault("/domain", "must be a host name in lower case")
	}
	if CheckCallbackURL(p.Base) != nil || len(p.Base) > 500 {
		return fault("/base_url", "must be an https address without user and fragment")
	}
	if _, err := ParseVersion(string(p.Version)); err != nil {
		return fault("/api_version", "must be 1.0, 2.0 or 3.0")
	}
	if p.EmailFormat != "" && p.EmailFormat != Raw && p.EmailFormat != SHA256 {
		return fault("/email_format", "must be raw or sha256")
	}
	return nil
}

// TaskState is where one request stands at one processor.
type TaskState string

// The states. They only go forward.
const (
	TaskQueued        TaskState = "queued"
	TaskPending       TaskState = "pending"
	TaskInProgress    TaskState = "in_progress"
	TaskCompleted     TaskState = "completed"
	TaskIncomplete    TaskState = "incomplete"
	TaskCancelled     TaskState = "cancelled"
	TaskUndeliverable TaskState = "undeliverable"
)

// Task is one request at one processor.
type Task struct {
	Request    dsar.RequestID
	Processor  string
	ID         SubjectRequestID
	Kind       dsar.Kind
	State      TaskState
	QueuedAt   time.Time
	AcceptedAt time.Time
	ExpectedAt time.Time
	SettledAt  time.Time
	HeardAt    time.Time
	// ResultsCount is what it said; nil: nothing.
	ResultsCount *int64
	// Of the places that it passed the request on to.
	PartsFailed, PartsSkipped, PartsOpen int
	// Listing is why nobody waits for it any longer; empty: somebody does.
	Listing  Listing
	ListedAt time.Time
	Version  int64
}

// Listing is why a processor is listed as open in the evidence of a request.
type Listing string

// The reasons.
const (
	NoAnswer        Listing = "no_answer"
	CannotErase     Listing = "cannot_erase"
	ContractEnded   Listing = "contract_ended"
	HandledByLetter Listing = "handled_by_letter"
)

// Listings lists them.
func Listings() []Listing { return []Listing{NoAnswer, CannotErase, ContractEnded, HandledByLetter} }

// Acknowledged reports whether the processor says that all was done, with every part.
func (t *Task) Acknowledged() bool { return t.State == TaskCompleted }

// Settled reports whether nobody has to wait for the processor: it has acknowledged, or
// somebody has decided to list it as open.
func (t *Task) Settled() bool { return t.Acknowledged() || t.Listing != "" }

// AllSettled reports whether a request may be called completed as far as processors go:
// each has acknowledged or is listed as open.
func AllSettled(tasks []Task) bool {
	for i := range tasks {
		if !tasks[i].Settled() {
			return false
		}
	}
	return true
}

// status is what the processor said last; "" before it said anything.
func (t *Task) status() Status {
	switch t.State {
	case TaskPending:
		return Pending
	case TaskInProgress:
		return InProgress
	case TaskCompleted, TaskIncomplete:
		return Completed
	case TaskCancelled:
		return Cancelled
	}
	return ""
}

// Advance returns the task as it stands after a report at a moment. What goes back is
// refused.
func (t Task) Advance(r Report, at time.Time) (Task, error) {
	if !r.Status.Follows(t.status()) {
		return t, &Refusal{Check: CheckForward, Reason: "the request is further than this report says"}
	}
	t.Version++
	t.HeardAt = at
	if t.AcceptedAt.IsZero() {
		t.AcceptedAt = at
	}
	if !r.ExpectedAt.IsZero() {
		t.ExpectedAt = r.ExpectedAt
	}
	if r.ResultsCount != nil {
		t.ResultsCount = r.ResultsCount
	}
	t.PartsFailed, t.PartsSkipped, t.PartsOpen = 0, 0, 0
	for _, part := range r.Parts {
		switch part {
		case PartFailed:
			t.PartsFailed++
		case PartSkipped:
			t.PartsSkipped++
		case PartPending:
			t.PartsOpen++
		}
	}
	switch r.Outcome() {
	case OutcomeCompleted:
		t.State = TaskCompleted
	case OutcomeIncomplete:
		t.State = TaskIncomplete
	case OutcomeCancelled:
		t.State = TaskCancelled
	default:
		t.State = TaskState(r.Status)
	}
	// A message that was given up and then sent after all makes a task open again.
	t.SettledAt = time.Time{}
	if r.Status.Final() {
		t.SettledAt = at
	}
	return t, nil
}

// ProcessorStore keeps processors and what they said. Everything is durable when it
// returns, and a change and its event are committed together or not at all.
type ProcessorStore interface {
	// Add records a processor. The error wraps [privacy.ErrConflict] if there is one of
	// its name or domain.
	Add(ctx context.Context, p Processor, event audit.Event) (audit.Receipt, error)
	// Retire records that a processor gets no requests any more.
	Retire(ctx context.Context, id string, event audit.Event) (audit.Receipt, error)
	// Processors lists them, the retired ones last if all are wanted.
	Processors(ctx context.Context, all bool) ([]Processor, error)
	// Find returns a processor by its name, also a retired one, or [privacy.ErrNotFound].
	Find(ctx context.Context, id string) (Processor, error)
	// ByDomain returns the processor that signs in the name of a domain, also a retired
	// one that has answers to give, or [privacy.ErrNotFound].
	ByDomain(ctx context.Context, domain string) (Processor, error)
	// SetCertificate keeps a certificate that was fetched anew.
	SetCertificate(ctx context.Context, id, certificate string, event audit.Event) (audit.Receipt, error)
	// Tasks returns a request at all its processors.
	Tasks(ctx context.Context, request dsar.RequestID) ([]Task, error)
	// Report changes the task that a report is about by change, together with the entry
	// for event. digest is that of the signed bytes: if it is known already, the error is
	// a [Refusal] by [CheckReplay]; a zero one is not remembered. The error is a [Refusal]
	// by [CheckRequestKnown] if the processor has no such task.
	Report(ctx context.Context, processor string, id SubjectRequestID, digest audit.Digest, event audit.Event,
		change func(Task) (Task, error)) (Task, error)
	// Waiting returns at most limit tasks that were accepted and not heard of since a moment.
	Waiting(ctx context.Context, since time.Time, limit int) ([]Task, error)
	// ListOpen notes that nobody waits for a processor any longer. The error wraps
	// [privacy.ErrConflict] if it has acknowledged or is listed already, and
	// [privacy.ErrNotFound] if it was not told.
	ListOpen(ctx context.Context, request dsar.RequestID, processor string, by [16]byte, reason Listing, event audit.Event) (audit.Receipt, error)
}
