package dsar

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Outcome is what became of one erasure of many.
type Outcome struct {
	Request RequestID
	Record  ErasureRecord
	Err     error
}

// EraseMany carries out the plans of many requests side by side; the ledger and the log
// flush for all who wait. Each is an erasure of its own, approved by itself. workers of
// zero means 32. each, which may be nil, is told of every outcome, by one at a time.
// It ends early when ctx does; what was not begun has no outcome.
func (e *Eraser) EraseMany(ctx context.Context, by privacy.Principal, requests []RequestID, workers int, each func(Outcome)) {
	if workers <= 0 {
		workers = 32
	}
	var next atomic.Int64
	var mu sync.Mutex
	var group sync.WaitGroup
	for range min(workers, len(requests)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(requests) {
					return
				}
				record, err := e.Erase(ctx, by, requests[i])
				if each != nil {
					mu.Lock()
					each(Outcome{requests[i], record, err})
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
}

// sweepRows is how many rows one transaction of a sweep deletes.
const sweepRows = 5000

// Sweep deletes what is left of people who were erased, of one erasure or, if only is
// zero, of all, in small transactions. It may be broken off and begun again anywhere.
func (e *Eraser) Sweep(ctx context.Context, only ErasureID, progress func(Swept)) (Swept, error) {
	var total Swept
	for {
		swept, err := e.rooms.Store.Sweep(ctx, sweepRows, only)
		if err != nil {
			return total, fmt.Errorf("sweeping up after erasures: %w", err)
		}
		total.Rows, total.People = total.Rows+swept.Rows, total.People+swept.People
		if progress != nil {
			progress(total)
		}
		if swept.Rows == 0 || only != (ErasureID{}) && swept.People > 0 {
			return total, nil
		}
	}
}

// Readmit lets an identifier come back that an erasure has suppressed, such as that of
// somebody who has become a customer again. reason is a word for the log. Errors wrap
// [privacy.ErrNotFound] if it is not suppressed, [privacy.ErrInvalid] if it has no normal
// form or the reason is none of [ReadmitReasons], and [privacy.ErrForbidden].
func (e *Eraser) Readmit(ctx context.Context, by privacy.Principal, identifier privacy.Identifier, reason ReadmitReason) (audit.Receipt, error) {
	if err := mayErase(by); err != nil {
		return audit.Receipt{}, err
	}
	if !reason.isKnown() {
		return audit.Receipt{}, &privacy.FieldError{Pointer: "/reason", Reason: fmt.Sprintf("must be one of %v", ReadmitReasons())}
	}
	tags, err := e.rooms.Vault.SuppressionTags(identifier)
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("readmitting identifier: %w", err)
	}
	record := func(ctx context.Context) (LedgerPosition, error) {
		return e.rooms.Ledger.Record(context.WithoutCancel(ctx), LedgerRecord{Kind: LedgerReadmitted, Suppressed: tags, At: e.config.Now().UTC()})
	}
	receipt, err := e.rooms.Store.Lift(ctx, tags, e.rooms.Vault.ActorTag(by), record, audit.Event{
		Kind: audit.SuppressionLifted, Outcome: audit.Done, Principal: by, Subject: audit.Subject{Unknown: true}, Checks: []string{"reason." + string(reason)},
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("readmitting identifier: %w", err)
	}
	return receipt, nil
}

// ReadmitReason is why an identifier may come back.
type ReadmitReason string

// The reasons.
const (
	ReadmitOwnWish     ReadmitReason = "own_wish"       // the person has come back by themselves
	ReadmitReassigned  ReadmitReason = "reassigned"     // the identifier belongs to somebody else now
	ReadmitErasedWrong ReadmitReason = "erased_wrongly" // the erasure was of the wrong person
)

// ReadmitReasons lists them.
func ReadmitReasons() []ReadmitReason {
	return []ReadmitReason{ReadmitOwnWish, ReadmitReassigned, ReadmitErasedWrong}
}

func (r ReadmitReason) isKnown() bool {
	for _, known := range ReadmitReasons() {
		if r == known {
			return true
		}
	}
	return false
}
