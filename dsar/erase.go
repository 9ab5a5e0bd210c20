package dsar

import (
	"context"
	"errors"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Store erases people and knows their blinding keys.
type Store interface {
	// AuditSubject returns what the log needs to tag an entry about the person. It MUST
	// return an error that wraps [privacy.ErrNotFound] for somebody who is unknown, and
	// [privacy.ErrDamaged] if their key does not open.
	AuditSubject(ctx context.Context, id privacy.DataSubjectID) (audit.Subject, error)
	// Erase destroys the person's key and deletes every row about them, and commits that
	// together with the entry for event or not at all. It MUST be durable when it
	// returns, and MUST return an error that wraps [privacy.ErrNotFound], without an
	// entry, if there is nobody to erase (any more).
	Erase(ctx context.Context, id privacy.DataSubjectID, event audit.Event) (Counts, audit.Receipt, error)
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
}

// Result is the evidence of an erasure.
type Result struct {
	Counts  Counts
	Receipt audit.Receipt
}

// Config holds what an eraser may be told otherwise.
type Config struct {
	// Forget is told of everybody who was erased, after the commit, so that caches of
	// this process drop them. Nil: nothing is cached.
	Forget func(privacy.DataSubjectID)
}

// Eraser is the one erase path.
type Eraser struct {
	store  Store
	config Config
}

// New returns an eraser over store.
func New(store Store, config Config) (*Eraser, error) {
	if store == nil {
		return nil, fmt.Errorf("making eraser without store: %w", privacy.ErrInvalid)
	}
	return &Eraser{store: store, config: config}, nil
}

// Erase forgets a person for good. Only a data protection officer may. Errors wrap:
//
//   - [privacy.ErrForbidden]: the principal is somebody else;
//   - [privacy.ErrNotFound]: the person is unknown, or was erased before;
//   - [privacy.ErrUnavailable]: database or log cannot be written; nothing was erased,
//     or it was and asking again says not found.
func (e *Eraser) Erase(ctx context.Context, principal privacy.Principal, id privacy.DataSubjectID) (Result, error) {
	if principal.Role != privacy.RoleDPO || principal.ID == "" {
		return Result{}, fmt.Errorf("erasing person: %w", privacy.ErrForbidden)
	}
	subject, err := e.store.AuditSubject(ctx, id)
	if errors.Is(err, privacy.ErrDamaged) || errors.Is(err, privacy.ErrNotFound) {
		// A key that does not open or is gone protects nobody any more. It must not stand
		// in the way of the right to be forgotten; whether there is anybody to erase is
		// for Erase to say, and the entry is then about somebody unknown.
		subject, err = audit.Subject{Unknown: true}, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("finding person to erase: %w", err)
	}
	counts, receipt, err := e.store.Erase(ctx, id, audit.Event{
		Kind: audit.PersonErased, Outcome: audit.Done, Principal: principal, Subject: subject,
	})
	if err != nil {
		return Result{}, fmt.Errorf("erasing person: %w", err)
	}
	if e.config.Forget != nil {
		e.config.Forget(id)
	}
	if receipt.IsZero() {
		return Result{}, fmt.Errorf("erasing person without a log entry: %w", privacy.ErrUnavailable)
	}
	return Result{Counts: counts, Receipt: receipt}, nil
}
