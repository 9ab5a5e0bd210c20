package cleanroom

import (
	"context"
	"errors"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// ErrExhausted is wrapped by the error of a charge that does not fit into what is left.
// Nothing was charged and nothing was computed; [Exhausted] says what is left for whom.
var ErrExhausted = errors.New("the privacy budget is exhausted")

// DatasetRef names a dataset among all owners'.
type DatasetRef struct {
	Owner   PartyID
	Dataset DatasetID
}

// String returns owner.dataset.
func (r DatasetRef) String() string { return string(r.Owner) + "." + string(r.Dataset) }

// Left is what is left of a dataset's budget: in all, and for one consumer.
type Left struct {
	Dataset     DatasetRef
	Cap, Spent  Rho // counting everybody
	ConsumerCap Rho
	Consumed    Rho // by the consumer alone
}

// Rho returns how much the consumer may still spend.
func (l Left) Rho() Rho { return max(0, min(l.Cap-l.Spent, l.ConsumerCap-l.Consumed)) }

// Exhausted is the error of a charge that does not fit.
type Exhausted struct{ Left []Left }

func (e *Exhausted) Error() string { return ErrExhausted.Error() }

// Unwrap returns [ErrExhausted].
func (e *Exhausted) Unwrap() error { return ErrExhausted }

// RunID numbers the runs of queries.
type RunID int64

// Run is a query that is about to be computed, or was.
type Run struct {
	ID RunID
	// Answer is the release that answers the same question already; nil if the question is
	// new, and then it has been charged.
	Answer *Release
	// Receipt is that of the entry of the charge; zero for an answer that was there.
	Receipt audit.Receipt
}

// Charge is what a query costs, and whom.
type Charge struct {
	Room     RoomID
	Consumer PartyID
	// Question is the digest of all that the answer depends on: the canonical query, the
	// snapshots, and the rule that was in force.
	Question audit.Digest
	// Datasets pay each the whole cost: one person may be in all of them.
	Datasets []DatasetRef
	Cost     Rho
}

// Ledger keeps the budgets and the answers.
//
// Begin commits, in one transaction with the entry, the charge of a question that was never
// answered; no data may have been read before it returns, and nothing gives a charge back.
// Concurrent charges never exceed a cap together. It fails with an error that wraps
// [ErrExhausted], and then has an entry that says so. A question that somebody else is
// computing is waited for, as long as ctx lasts. If the question was answered before, Begin
// writes nothing and returns the answer, which may be handed out when Repeat has returned.
//
// Finish stores the answer with its entry; it may be handed out when Finish has returned.
// Fail closes a run that has no answer: asking again costs again. Both fail with
// [privacy.ErrConflict] for a run that is over, also because it took too long.
//
// Repeat notes, with its entry, that an answer that was there is handed to the consumer of
// the charge, for nothing.
type Ledger interface {
	Begin(ctx context.Context, charge Charge, event audit.Event) (Run, error)
	Finish(ctx context.Context, run RunID, release *Release, event audit.Event) (audit.Receipt, error)
	Fail(ctx context.Context, run RunID, event audit.Event) error
	Repeat(ctx context.Context, charge Charge, event audit.Event) (audit.Receipt, error)
	// Left returns what is left for a consumer of each of the datasets.
	Left(ctx context.Context, consumer PartyID, datasets []DatasetRef) ([]Left, error)
}

// Release is an answer as it is stored and handed out: what is in it is no personal data any
// more. Its digest is in the log.
type Release struct {
	Room      RoomID
	Consumer  PartyID
	Question  audit.Digest
	Query     []byte // canonical JSON
	Snapshots []SnapshotID
	Mode      Mode
	Cost      Rho
	// Answer is the canonical JSON that the consumer gets.
	Answer     []byte
	Digest     audit.Digest // of Answer
	ReleasedAt time.Time
}
