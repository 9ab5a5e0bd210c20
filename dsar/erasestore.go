package dsar

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// EraseStore is where people are erased. What it returns is durable, and what changes is
// committed together with its event or not at all.
type EraseStore interface {
	// Holdings returns what is held of a person, of one moment; [privacy.ErrNotFound] if
	// they are unknown or erased.
	Holdings(ctx context.Context, id privacy.DataSubjectID) (Holdings, error)
	// SealedChunks returns at most limit chunks of a stream whose numbers are below before,
	// newest first.
	SealedChunks(ctx context.Context, id privacy.DataSubjectID, slot [16]byte, before int64, limit int) ([]StoredChunk, error)

	// SavePlan keeps a plan with the step that made it. One that is there already becomes
	// the last one again, with its approvals.
	SavePlan(ctx context.Context, plan StoredPlan, change Change) (audit.Receipt, error)
	// LastPlan returns the plan of a request that was made last, with its approvals;
	// [privacy.ErrNotFound] if there is none.
	LastPlan(ctx context.Context, request RequestID) (StoredPlan, error)
	// Approve adds an approval. It MUST fail with [privacy.ErrConflict] if the same actor
	// has approved the plan before.
	Approve(ctx context.Context, request RequestID, plan audit.Digest, actor [16]byte, change Change) (audit.Receipt, error)
	// Defer restricts the person and marks the plan, if a hold on everything is still in
	// force; if not it fails with [privacy.ErrConflict].
	Defer(ctx context.Context, id privacy.DataSubjectID, plan audit.Digest, change Change) (audit.Receipt, error)
	// Deferred lists requests whose erasure a hold deferred and that are still open.
	Deferred(ctx context.Context) ([]RequestID, error)

	// Shred erases a person, see [ShredOrder].
	Shred(ctx context.Context, order ShredOrder) (Shredded, audit.Receipt, error)
	// ShredOrphan destroys the key of somebody of whom there is nothing else (any more). It
	// MUST fail with [privacy.ErrNotFound] if there is no key, and with
	// [privacy.ErrConflict], having changed nothing, if there is more.
	ShredOrphan(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (audit.Receipt, error)
	// Erasure returns an erasure, [privacy.ErrNotFound] if there is none; so does ErasureOf
	// for that of a request. One whose place in the log is not noted has a zero LeafHash.
	Erasure(ctx context.Context, id ErasureID) (ErasureRecord, error)
	ErasureOf(ctx context.Context, request RequestID) (ErasureRecord, error)
	// NoteEntry notes where the log has an erasure.
	NoteEntry(ctx context.Context, id ErasureID, receipt audit.Receipt) error
	// FindEntry looks in the log for the entry of an erasure that is not noted.
	FindEntry(ctx context.Context, record *ErasureRecord) (audit.Receipt, error)
	// Sweep deletes at most about limit rows of people who were erased, of one erasure or,
	// if it is zero, of any.
	Sweep(ctx context.Context, limit int, only ErasureID) (Swept, error)

	// Suppressions reports of each tag whether it is suppressed.
	Suppressions(ctx context.Context, tags [][16]byte) ([]bool, error)
	// Lift lets identifiers come back. record is called in the transaction and writes the
	// ledger; [privacy.ErrNotFound] if none of the tags is suppressed.
	Lift(ctx context.Context, tags [][16]byte, actor [16]byte, record func(context.Context) (LedgerPosition, error), event audit.Event) (audit.Receipt, error)
}

// StoredChunk is a chunk of events as it is stored.
type StoredChunk struct {
	Number, Version int64
	Sealed          []byte
}

// StoredPlan is a plan as it is kept.
type StoredPlan struct {
	Request RequestID
	Hash    audit.Digest
	Held    audit.Digest
	// Sealed is the document under the request's key.
	Sealed []byte
	At     time.Time
	By     [16]byte
	// DeferredAt is when a legal hold stood in the way; zero: never.
	DeferredAt time.Time
	// Approvals are the tags of those who have approved it.
	Approvals [][16]byte
}

// ShredOrder is an erasure that is ready to be carried out. The store, in one transaction:
// locks the person's row; compares what is held and the holds, and fails with [ErrHeld] or
// [ErrChanged] if something came between; counts the approvals; takes the step; keeps what
// is withheld and the suppressed identifiers; calls Record, while the lock is held; destroys
// the key and everything that leads to the person; commits with the event.
//
// It MUST call Record as the last thing that can fail for a reason, so that what stands in
// the ledger happens. It fails with [privacy.ErrNotFound] if the person is unknown or
// erased.
type ShredOrder struct {
	Erasure ErasureID
	Person  privacy.DataSubjectID
	Request RequestID // zero: none
	Plan    audit.Digest
	// Held is compared with [Holdings.Digest], Holds with the partial holds.
	Held  audit.Digest
	Holds []HoldOn
	// Approvals is how many there must be of the plan.
	Approvals int
	// Forced: the erasure is in the ledger already, so it happens, whatever is held and
	// whatever holds there are.
	Forced bool
	// Step is the step of the request; nil: none.
	Step  *Change
	Event audit.Event
	// Withheld is what is kept, each under a key of its own, and List what it is, sealed
	// for the house.
	Withheld []SealedWithheld
	List     []byte
	// Suppress makes the tag of an identifier.
	Suppress func(HeldIdentifier) [16]byte
	// Record writes the ledger.
	Record func(ctx context.Context, suppressed [][16]byte) (LedgerPosition, error)
}

// Shredded is what a [ShredOrder] did.
type Shredded struct {
	KeyDigests []audit.Digest
	Counts     Counts
	Suppressed int64
	Ledger     LedgerPosition
	At         time.Time
}

// Swept is what a sweep did.
type Swept struct {
	Rows, People int64
}

// Counts says how much was destroyed.
type Counts struct {
	Keys         int64 `json:"keys"`
	Identifiers  int64 `json:"identifiers"`
	Records      int64 `json:"records"`
	Chunks       int64 `json:"chunks"`
	Fingerprints int64 `json:"fingerprints"`
	Consents     int64 `json:"consents"`
	Exposures    int64 `json:"exposures"`
	Cases        int64 `json:"cases"`
}
