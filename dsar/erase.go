package dsar

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// What a [EraseStore.Shred] may say besides [privacy.ErrNotFound]. Both wrap
// [privacy.ErrConflict].
var (
	// ErrHeld: a legal hold on everything is in force.
	ErrHeld = fmt.Errorf("legal hold in force: %w", privacy.ErrConflict)
	// ErrChanged: what is held, or a partial hold, is not what the plan was made of.
	ErrChanged = fmt.Errorf("person changed since the plan: %w", privacy.ErrConflict)
)

// The checks of an erasure, as they stand in the log.
const (
	CheckPlanCurrent Check = "plan.current"     // the plan fits what is held now
	CheckPlanMade    Check = "plan.made"        // there is a plan, and it is this one
	CheckApproved    Check = "plan.approved"    // enough people have approved it
	CheckAnother     Check = "approval.another" // whoever approves has not done so before
	CheckNoHold      Check = "hold.none"        // no legal hold on everything is in force
	CheckPersonKnown Check = "person.known"     // there is somebody to erase
)

// EraseRooms are what an eraser works with. All are required.
type EraseRooms struct {
	Store    EraseStore
	Requests *Service
	// Ledger is written before anything is destroyed.
	Ledger LedgerWriter
	Vault  *vault.Vault
	Log    audit.Appender
	// Categories lists what may be held, as the catalogue in force names it.
	Categories func() []privacy.DataCategory
}

// EraseConfig holds what an eraser may be told otherwise.
type EraseConfig struct {
	// OneApprover lets one person alone approve an erasure. By default it takes two.
	OneApprover bool
	// Withholder says what must not be destroyed. Nil: nothing is kept.
	Withholder Withholder
	// Processors lists who will be told of an erasure. Nil: nobody.
	Processors func(ctx context.Context) ([]string, error)
	// Forget is told of everybody who was erased, after the commit, so that caches of
	// this process drop them. Nil: nothing is cached.
	Forget func(privacy.DataSubjectID)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Random draws ids; nil: crypto/rand.
	Random io.Reader
	// Finish is how long an erasure that stands in the ledger and could not be committed is
	// tried again before it is left to whoever opens the house next; zero: 10 seconds.
	Finish time.Duration
}

// Eraser is the one erase path: a plan, approvals of the plan's hash by different people,
// and an erasure that destroys exactly what was planned. It is safe for concurrent use.
type Eraser struct {
	rooms  EraseRooms
	config EraseConfig
}

// NewEraser returns an eraser.
func NewEraser(rooms EraseRooms, config EraseConfig) (*Eraser, error) {
	if rooms.Store == nil || rooms.Requests == nil || rooms.Ledger == nil || rooms.Vault == nil || rooms.Log == nil || rooms.Categories == nil {
		return nil, fmt.Errorf("making eraser without all that it needs: %w", privacy.ErrInvalid)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Random == nil {
		config.Random = rand.Reader
	}
	if config.Finish == 0 {
		config.Finish = 10 * time.Second
	}
	return &Eraser{rooms: rooms, config: config}, nil
}

// Approvers is how many different people must approve a plan.
func (e *Eraser) Approvers() int {
	if e.config.OneApprover {
		return 1
	}
	return 2
}

// Erasure returns what became of an erasure.
func (e *Eraser) Erasure(ctx context.Context, id ErasureID) (ErasureRecord, error) {
	record, err := e.rooms.Store.Erasure(ctx, id)
	if err != nil {
		return ErasureRecord{}, fmt.Errorf("reading erasure: %w", err)
	}
	return e.withEntry(ctx, record)
}

// ErasureOf returns the erasure of a request.
func (e *Eraser) ErasureOf(ctx context.Context, request RequestID) (ErasureRecord, error) {
	record, err := e.rooms.Store.ErasureOf(ctx, request)
	if err != nil {
		return ErasureRecord{}, fmt.Errorf("reading erasure: %w", err)
	}
	return e.withEntry(ctx, record)
}

// withEntry finds the log entry of an erasure that was cut off between its commit and the
// note of where the entry is.
func (e *Eraser) withEntry(ctx context.Context, record ErasureRecord) (ErasureRecord, error) {
	if record.LeafHash != ([32]byte{}) {
		return record, nil
	}
	receipt, err := e.rooms.Store.FindEntry(ctx, &record)
	if err != nil {
		return ErasureRecord{}, fmt.Errorf("finding log entry of erasure: %w", err)
	}
	if err := e.rooms.Store.NoteEntry(ctx, record.ID, receipt); err != nil {
		return ErasureRecord{}, fmt.Errorf("noting log entry of erasure: %w", err)
	}
	record.LogIndex, record.LeafHash = receipt.Index(), receipt.LeafHash()
	return record, nil
}

// deny logs that an erasure was refused, and returns the refusal.
func (e *Eraser) deny(ctx context.Context, by privacy.Principal, r *Request, plan audit.Digest, check Check, reason string) error {
	subject, err := e.rooms.Requests.subject(ctx, r.DataSubject)
	if err != nil {
		return err
	}
	_, err = e.rooms.Log.Append(ctx, audit.Event{
		Kind: audit.ErasureDenied, Outcome: audit.Denied, Principal: by, Subject: subject, Checks: []string{string(check)}, List: plan,
	})
	if err != nil {
		return fmt.Errorf("logging a refused erasure: %w", err)
	}
	article := lawOf(r.Regime).erasure
	if check == CheckNoHold {
		article = "GDPR Article 17(3)(e)"
	}
	return &Refusal{Check: string(check), Article: article, Reason: reason}
}

// mayErase admits data protection officers.
func mayErase(by privacy.Principal) error {
	if by.Role != privacy.RoleDPO || by.ID == "" {
		return fmt.Errorf("erasing person: %w", privacy.ErrForbidden)
	}
	return nil
}

// isRefusal reports whether err is one by a check.
func isRefusal(err error, check Check) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Check == string(check)
}
