package dsar

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

const labelPlan = "request/plan"

// Planned is a plan as it is shown to those who decide on it.
type Planned struct {
	Plan *Plan
	Hash audit.Digest
	// Held reports whether a legal hold on everything is in force: the erasure would be
	// deferred.
	Held bool
	// Exposures and Cases are destroyed too and not bound by the hash.
	Exposures, Cases int64
	// Approvals is how many have approved it, of Needed.
	Approvals, Needed int
	// DeferredAt is when a hold stood in the way; zero: never.
	DeferredAt time.Time
	// Receipt is zero if the plan was made before and nothing has changed.
	Receipt audit.Receipt
}

// Plan says what the erasure of a request would destroy, and keeps and logs it: it is the
// first step, and destroys nothing. Made again while nothing has changed it is the same,
// with its approvals. Errors are those of [Service.Prepare], and a [Refusal] by
// [CheckPersonKnown].
func (e *Eraser) Plan(ctx context.Context, by privacy.Principal, request RequestID) (Planned, error) {
	for n := 1; ; n++ {
		planned, err := e.makePlan(ctx, by, request)
		if _, refused := errors.AsType[*Refusal](err); refused || !errors.Is(err, privacy.ErrConflict) || n == attempts {
			return planned, err
		}
	}
}

func (e *Eraser) makePlan(ctx context.Context, by privacy.Principal, request RequestID) (Planned, error) {
	if err := mayErase(by); err != nil {
		return Planned{}, err
	}
	r, err := e.rooms.Requests.Find(ctx, request)
	if err != nil {
		return Planned{}, err
	}
	// The machine says no before anybody looks at the person.
	change, err := e.rooms.Requests.Prepare(ctx, by, request, Move{Action: ActionPlan})
	if err != nil {
		return Planned{}, err
	}
	if r.DataSubject.IsZero() {
		return Planned{}, e.deny(ctx, by, &r, audit.Digest{}, CheckPersonKnown, "nobody is known here by what the request names")
	}
	p, err := e.prepare(ctx, r.DataSubject, request)
	if errors.Is(err, privacy.ErrNotFound) {
		return Planned{}, e.deny(ctx, by, &r, audit.Digest{}, CheckPersonKnown, "the person is not there any more")
	}
	if err != nil {
		return Planned{}, err
	}
	planned := Planned{
		Plan: p.plan, Hash: p.hash, Held: onEverything(p.holdings.Holds), Needed: e.Approvers(),
		Exposures: p.holdings.Exposures, Cases: p.holdings.Cases,
	}
	last, err := e.rooms.Store.LastPlan(ctx, request)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return Planned{}, fmt.Errorf("reading plan of erasure: %w", err)
	}
	if err == nil && last.Hash == p.hash {
		planned.Approvals, planned.DeferredAt = len(last.Approvals), last.DeferredAt
		return planned, nil
	}
	document, err := p.plan.Canonical()
	if err != nil {
		return Planned{}, err
	}
	key, err := e.rooms.Requests.Key(ctx, request)
	if err != nil {
		return Planned{}, err
	}
	sealed, err := key.SealBytes(labelPlan, 0, document)
	if err != nil {
		return Planned{}, fmt.Errorf("sealing plan of erasure: %w", err)
	}
	change.Event.List = p.hash
	planned.Receipt, err = e.rooms.Store.SavePlan(ctx, StoredPlan{
		Request: request, Hash: p.hash, Held: p.holdings.Digest(), Sealed: sealed, At: change.Step.At, By: change.Step.By,
	}, change)
	if err != nil {
		return Planned{}, fmt.Errorf("keeping plan of erasure: %w", err)
	}
	return planned, nil
}

// Approval is what became of an approval.
type Approval struct {
	// Approvals is how many there are now, of Needed.
	Approvals, Needed int
	Receipt           audit.Receipt
}

// Approve approves the plan with exactly that hash, which must be the last one and fit what
// is held now. Nobody approves twice. Errors are those of [Service.Prepare], and a
// [Refusal] by [CheckPlanMade], [CheckPlanCurrent] or [CheckAnother].
func (e *Eraser) Approve(ctx context.Context, by privacy.Principal, request RequestID, hash audit.Digest) (Approval, error) {
	for n := 1; ; n++ {
		approval, err := e.approve(ctx, by, request, hash)
		if _, refused := errors.AsType[*Refusal](err); refused || !errors.Is(err, privacy.ErrConflict) || n == attempts {
			return approval, err
		}
	}
}

func (e *Eraser) approve(ctx context.Context, by privacy.Principal, request RequestID, hash audit.Digest) (Approval, error) {
	if err := mayErase(by); err != nil {
		return Approval{}, err
	}
	r, last, err := e.current(ctx, by, request, hash)
	if err != nil {
		return Approval{}, err
	}
	actor := e.rooms.Vault.ActorTag(by)
	for _, other := range last.Approvals {
		if other == actor {
			return Approval{}, e.deny(ctx, by, r, hash, CheckAnother, "whoever approves has approved this plan before; it takes somebody else")
		}
	}
	change, err := e.rooms.Requests.Prepare(ctx, by, request, Move{Action: ActionApprove, List: hash})
	if err != nil {
		return Approval{}, err
	}
	receipt, err := e.rooms.Store.Approve(ctx, request, hash, actor, change)
	if err != nil {
		return Approval{}, fmt.Errorf("approving erasure: %w", err)
	}
	return Approval{len(last.Approvals) + 1, e.Approvers(), receipt}, nil
}

// current returns a request and its last plan, after making sure that the hash is this
// plan's and that the plan fits what is held now.
func (e *Eraser) current(ctx context.Context, by privacy.Principal, request RequestID, hash audit.Digest) (*Request, *StoredPlan, error) {
	r, err := e.rooms.Requests.Find(ctx, request)
	if err != nil {
		return nil, nil, err
	}
	last, err := e.rooms.Store.LastPlan(ctx, request)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return nil, nil, fmt.Errorf("reading plan of erasure: %w", err)
	}
	if err != nil || last.Hash != hash {
		return nil, nil, e.deny(ctx, by, &r, hash, CheckPlanMade, "there is no such plan, or another one was made since; look at the plan again")
	}
	p, err := e.prepare(ctx, r.DataSubject, request)
	if errors.Is(err, privacy.ErrNotFound) {
		return nil, nil, e.deny(ctx, by, &r, hash, CheckPersonKnown, "the person is not there any more")
	}
	if err != nil {
		return nil, nil, err
	}
	if p.hash != hash {
		return nil, nil, e.deny(ctx, by, &r, hash, CheckPlanCurrent, "something about the person has changed since the plan was made; make a new plan")
	}
	return &r, &last, nil
}

// OpenPlan opens a plan that was kept.
func (e *Eraser) OpenPlan(ctx context.Context, stored *StoredPlan) (*Plan, error) {
	key, err := e.rooms.Requests.Key(ctx, stored.Request)
	if err != nil {
		return nil, err
	}
	document, err := key.OpenBytes(labelPlan, 0, stored.Sealed)
	if err != nil {
		return nil, fmt.Errorf("opening plan of erasure: %w", err)
	}
	return ParsePlan(document)
}

// ParsePlanHash reads the 64 hexadecimal digits of a plan's hash. The error wraps
// [privacy.ErrInvalid].
func ParsePlanHash(text string) (audit.Digest, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(audit.Digest{}) || hex.EncodeToString(b) != text {
		return audit.Digest{}, fmt.Errorf("parsing hash of a plan: %w", privacy.ErrInvalid)
	}
	return audit.Digest(b), nil
}
