package dsar

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// deferBy notes that a legal hold stands in the way of an erasure: the person is restricted
// until it is released. It returns the refusal, or an error that wraps
// [privacy.ErrConflict] if there is no hold any more.
func (e *Eraser) deferBy(ctx context.Context, by privacy.Principal, r *Request, last *StoredPlan) error {
	if last.DeferredAt.IsZero() {
		change, err := e.rooms.Requests.Prepare(ctx, by, r.ID, Move{Action: ActionDefer, List: last.Hash})
		if err != nil {
			return err
		}
		if _, err := e.rooms.Store.Defer(ctx, r.DataSubject, last.Hash, change); err != nil {
			return fmt.Errorf("deferring erasure: %w", err)
		}
	}
	return &Refusal{
		Check: string(CheckNoHold), Article: "GDPR Article 17(3)(e)",
		Reason: "a legal hold is in force; the erasure is deferred until it is released, and the person's data are restricted",
	}
}

// Resumed is what became of erasures that had been deferred.
type Resumed struct {
	// Erased went on to the end, Held are still held, Replanned have a new plan because
	// something has changed meanwhile, and wait for its approval.
	Erased, Held, Replanned []RequestID
}

// Resume goes on with every erasure that a legal hold has deferred. Whoever releases a hold
// calls it. It goes on behind one that fails, which is left for the next time, and returns
// the errors together. One that has a new plan meanwhile waits for whoever approves it.
func (e *Eraser) Resume(ctx context.Context, by privacy.Principal) (Resumed, error) {
	var resumed Resumed
	requests, err := e.rooms.Store.Deferred(ctx)
	if err != nil {
		return resumed, fmt.Errorf("listing deferred erasures: %w", err)
	}
	var errs []error
	for _, request := range requests {
		if err := ctx.Err(); err != nil {
			return resumed, errors.Join(append(errs, err)...)
		}
		last, err := e.rooms.Store.LastPlan(ctx, request)
		if err == nil && last.DeferredAt.IsZero() {
			continue
		}
		if err == nil {
			_, err = e.Erase(ctx, by, request)
		}
		_, refused := errors.AsType[*Refusal](err)
		switch {
		case err == nil:
			resumed.Erased = append(resumed.Erased, request)
		case isRefusal(err, CheckNoHold):
			resumed.Held = append(resumed.Held, request)
		case isRefusal(err, CheckPlanCurrent):
			if _, err := e.Plan(ctx, by, request); err != nil {
				errs = append(errs, fmt.Errorf("request %s: %w", request, err))
				continue
			}
			resumed.Replanned = append(resumed.Replanned, request)
		case refused, errors.Is(err, privacy.ErrNotFound):
			// It was closed meanwhile, or the person is gone.
		default:
			errs = append(errs, fmt.Errorf("request %s: %w", request, err))
		}
	}
	return resumed, errors.Join(errs...)
}
