package dsar

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Erase carries out the last plan of a request, if enough people have approved exactly it
// and it still fits. When it returns without an error the person's key is destroyed, and
// nothing that was ever sealed under it opens again; [Eraser.Sweep] removes the bytes. A
// request that was erased before returns what was done then.
//
// Errors are those of [Service.Prepare]; a [Refusal] by [CheckPlanMade], [CheckApproved],
// [CheckPlanCurrent], [CheckPersonKnown] or, after the erasure was deferred,
// [CheckNoHold]; and [privacy.ErrUnavailable] if database, log or ledger cannot be written:
// then nothing was erased, or it stands in the ledger and happens when the house is opened
// again.
func (e *Eraser) Erase(ctx context.Context, by privacy.Principal, request RequestID) (ErasureRecord, error) {
	if err := mayErase(by); err != nil {
		return ErasureRecord{}, err
	}
	for n := 1; ; n++ {
		record, err := e.erase(ctx, by, request)
		if _, refused := errors.AsType[*Refusal](err); refused || !errors.Is(err, privacy.ErrConflict) || n == eraseAttempts {
			return record, err
		}
	}
}

// eraseAttempts is how often an erasure begins anew when somebody wrote about the person
// in the middle of it.
const eraseAttempts = 16

func (e *Eraser) erase(ctx context.Context, by privacy.Principal, request RequestID) (ErasureRecord, error) {
	r, err := e.rooms.Requests.Find(ctx, request)
	if err != nil {
		return ErasureRecord{}, err
	}
	if !r.ErasedAt.IsZero() {
		return e.ErasureOf(ctx, request)
	}
	last, err := e.rooms.Store.LastPlan(ctx, request)
	if errors.Is(err, privacy.ErrNotFound) {
		return ErasureRecord{}, e.deny(ctx, by, &r, audit.Digest{}, CheckPlanMade, "there is no plan yet")
	}
	if err != nil {
		return ErasureRecord{}, fmt.Errorf("reading plan of erasure: %w", err)
	}
	if len(last.Approvals) < e.Approvers() {
		return ErasureRecord{}, e.deny(ctx, by, &r, last.Hash, CheckApproved,
			fmt.Sprintf("%d of %d have approved the plan", len(last.Approvals), e.Approvers()))
	}
	p, err := e.prepare(ctx, r.DataSubject, request)
	if errors.Is(err, privacy.ErrNotFound) {
		return e.gone(ctx, by, request, last.Hash)
	}
	if err != nil {
		return ErasureRecord{}, err
	}
	if p.hash != last.Hash {
		return ErasureRecord{}, e.deny(ctx, by, &r, last.Hash, CheckPlanCurrent, "something about the person has changed since the plan was approved; make a new plan")
	}
	if onEverything(p.holdings.Holds) {
		return ErasureRecord{}, e.deferBy(ctx, by, &r, &last)
	}
	if p.unknown && len(p.holdings.Holds) > 0 {
		return ErasureRecord{}, e.deny(ctx, by, &r, last.Hash, CheckNoHold,
			"a legal hold on a part is in force, and there are data of a category that the catalogue does not have, so that nobody can tell whether they are held; bring the category back")
	}
	rule, err := mayTake(by, ActionErase)
	if err != nil {
		return ErasureRecord{}, err
	}
	change, err := e.rooms.Requests.prepare(ctx, by, rule, &r, p.subject, Move{Action: ActionErase, List: p.hash})
	if err != nil {
		return ErasureRecord{}, err
	}
	id, err := NewErasureID(e.config.Random)
	if err != nil {
		return ErasureRecord{}, err
	}
	order := ShredOrder{
		Erasure: id, Person: r.DataSubject, Request: request, Plan: p.hash,
		Held: p.holdings.Digest(), Holds: p.holdings.Holds, Approvals: e.Approvers(), Step: &change, Event: change.Event,
	}
	record, err := e.shred(ctx, by, order, p.kept)
	if errors.Is(err, ErrHeld) {
		return ErasureRecord{}, e.deferBy(ctx, by, &r, &last)
	}
	if errors.Is(err, privacy.ErrNotFound) {
		return e.gone(ctx, by, request, last.Hash)
	}
	return record, err
}

// gone says why there is nobody to erase: somebody else has just carried out the request,
// or another one of the same person.
func (e *Eraser) gone(ctx context.Context, by privacy.Principal, request RequestID, plan audit.Digest) (ErasureRecord, error) {
	r, err := e.rooms.Requests.Find(ctx, request)
	if err != nil {
		return ErasureRecord{}, err
	}
	if !r.ErasedAt.IsZero() {
		return e.ErasureOf(ctx, request)
	}
	return ErasureRecord{}, e.deny(ctx, by, &r, plan, CheckPersonKnown, "the person is not there any more")
}

// shred carries out an order, and sees to it that what came into the ledger happens.
func (e *Eraser) shred(ctx context.Context, by privacy.Principal, order ShredOrder, kept []Kept) (ErasureRecord, error) {
	var err error
	if order.Withheld, err = e.sealWithheld(kept); err != nil {
		return ErasureRecord{}, err
	}
	if order.List, err = e.sealList(kept); err != nil {
		return ErasureRecord{}, err
	}
	var written *LedgerRecord
	var position LedgerPosition
	order.Suppress = func(i HeldIdentifier) [16]byte { return e.rooms.Vault.SuppressionTag(i.Kind, i.BlindIndex) }
	order.Record = func(ctx context.Context, suppressed [][16]byte) (LedgerPosition, error) {
		line := LedgerRecord{
			Kind: LedgerErased, Erasure: order.Erasure, Person: e.rooms.Vault.LedgerTag(order.Person),
			Request: order.Request, Plan: order.Plan, Suppressed: suppressed, At: e.config.Now().UTC(),
		}
		// The line may stand although the ledger says that it failed: then the house does
		// not open before it is carried out.
		at, err := e.rooms.Ledger.Record(context.WithoutCancel(ctx), line)
		if err == nil {
			written, position = &line, at
		}
		return at, err
	}
	done, receipt, err := e.rooms.Store.Shred(ctx, order)
	if err != nil && written != nil {
		return e.finish(by, order.Person, *written, position, err)
	}
	if err != nil {
		return ErasureRecord{}, fmt.Errorf("erasing person: %w", err)
	}
	return e.done(ctx, &order, done, withheldOf(kept), receipt)
}

func (e *Eraser) done(ctx context.Context, order *ShredOrder, done Shredded, withheld []Withheld, receipt audit.Receipt) (ErasureRecord, error) {
	if e.config.Forget != nil {
		e.config.Forget(order.Person)
	}
	if receipt.IsZero() {
		return ErasureRecord{}, fmt.Errorf("erasing person without a log entry: %w", privacy.ErrUnavailable)
	}
	// If this does not come to pass, whoever asks for the erasure looks for the entry.
	_ = e.rooms.Store.NoteEntry(ctx, order.Erasure, receipt)
	return ErasureRecord{
		ID: order.Erasure, Request: order.Request, Plan: order.Plan, KeyDigests: done.KeyDigests, Counts: done.Counts,
		Withheld: withheld, Suppressed: done.Suppressed, LedgerSequence: done.Ledger.Sequence,
		LogIndex: receipt.Index(), LeafHash: receipt.LeafHash(), ErasedAt: done.At,
	}, nil
}

// finish brings an erasure to its end that stands in the ledger and whose transaction
// failed, or may have failed: nobody may find database and ledger apart, and no hold can
// undo it.
func (e *Eraser) finish(by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord, at LedgerPosition, cause error) (ErasureRecord, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.config.Finish)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		record, err := e.Complete(ctx, by, person, line, at)
		if err == nil {
			return record, nil
		}
		select {
		case <-ctx.Done():
			return ErasureRecord{}, fmt.Errorf("erasing person, whose erasure stands in the ledger and could not be committed: it will be when the house is opened again: %w: %w",
				privacy.ErrUnavailable, errors.Join(cause, err))
		case <-time.After(pause):
		}
	}
}

// Complete carries out an erasure that stands in the ledger and was broken off before its
// commit, in the name of its own request. It is idempotent.
func (e *Eraser) Complete(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord, at LedgerPosition) (ErasureRecord, error) {
	record, _, err := e.again(ctx, by, person, line, at, audit.PersonErased)
	return record, err
}

// Replay erases a person again whom a restore has brought back, and reports whether there
// was anybody to erase. Holds do not stop it, for it happened already; what the law orders
// to keep is kept again. It is idempotent.
func (e *Eraser) Replay(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord, at LedgerPosition) (ErasureRecord, bool, error) {
	return e.again(ctx, by, person, line, at, audit.ErasureReplayed)
}

func (e *Eraser) again(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord, at LedgerPosition, kind audit.Kind) (ErasureRecord, bool, error) {
	if line.Kind != LedgerErased || line.Person != e.rooms.Vault.LedgerTag(person) {
		return ErasureRecord{}, false, fmt.Errorf("erasing somebody again whom the ledger does not name: %w", privacy.ErrInvalid)
	}
	for n := 1; ; n++ {
		record, erased, err := e.tryAgain(ctx, by, person, line, at, kind)
		if !errors.Is(err, privacy.ErrConflict) || n == eraseAttempts {
			return record, erased, err
		}
	}
}

// EraseReturned erases a person again of whom the log says that they were erased, and the
// ledger says nothing: it was lost, or begun anew. It gets a line first, in no request's name. Of
// plans and approvals there is no question, for it happened already. It reports whether there
// was anybody to erase, and is idempotent.
func (e *Eraser) EraseReturned(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID) (bool, error) {
	id, err := NewErasureID(e.config.Random)
	if err != nil {
		return false, err
	}
	line := LedgerRecord{Kind: LedgerErased, Erasure: id, Person: e.rooms.Vault.LedgerTag(person), At: e.config.Now().UTC()}
	at, err := e.rooms.Ledger.Record(context.WithoutCancel(ctx), line)
	if err != nil {
		return false, fmt.Errorf("erasing person who is back: writing erasure ledger: %w", err)
	}
	_, erased, err := e.again(ctx, by, person, line, at, audit.ErasureReplayed)
	return erased, err
}

func (e *Eraser) tryAgain(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord, at LedgerPosition, kind audit.Kind) (ErasureRecord, bool, error) {
	record, err := e.rooms.Store.Erasure(ctx, line.Erasure)
	if err == nil {
		if record, err = e.withEntry(ctx, record); err != nil {
			return ErasureRecord{}, false, err
		}
		destroyed, err := e.shredOrphan(ctx, by, person, line)
		if !errors.Is(err, privacy.ErrConflict) {
			return record, destroyed, err
		}
		// All of the person is back, and so is what says that they were erased: a restore
		// that took some tables and left others. They are erased anew, in no request's name.
		if line.Erasure, err = NewErasureID(e.config.Random); err != nil {
			return ErasureRecord{}, false, err
		}
		line.Request = RequestID{}
	} else if !errors.Is(err, privacy.ErrNotFound) {
		return ErasureRecord{}, false, err
	}
	p, err := e.prepare(ctx, person, line.Request)
	if errors.Is(err, privacy.ErrNotFound) {
		destroyed, err := e.shredOrphan(ctx, by, person, line)
		return ErasureRecord{}, destroyed, err
	}
	if err != nil {
		return ErasureRecord{}, false, err
	}
	subject, err := e.rooms.Requests.subject(ctx, person)
	if err != nil {
		return ErasureRecord{}, false, err
	}
	order := ShredOrder{
		Erasure: line.Erasure, Person: person, Plan: line.Plan, Forced: true,
		Event: audit.Event{Kind: kind, Outcome: audit.Done, Principal: by, Subject: subject, List: line.Plan},
	}
	// The request, if it is there and still in hand, takes its step with it. One that is
	// not does not stand in the way.
	if r, err := e.rooms.Requests.Find(ctx, line.Request); err == nil {
		order.Request = line.Request
		move := Move{Action: ActionErase, List: line.Plan}
		if next, _, err := advance(e.rooms.Requests.config.Compute, &r, &move, e.rooms.Requests.now()); err == nil {
			order.Step = &Change{Before: r.Version, After: next, Event: order.Event, Step: Step{
				Request: r.ID, Number: next.Version, Action: ActionErase, From: r.State, To: next.State,
				At: next.ErasedAt, By: e.rooms.Vault.ActorTag(by),
			}}
		}
	} else if !errors.Is(err, privacy.ErrNotFound) {
		return ErasureRecord{}, false, err
	}
	if order.Withheld, err = e.sealWithheld(p.kept); err != nil {
		return ErasureRecord{}, false, err
	}
	if order.List, err = e.sealList(p.kept); err != nil {
		return ErasureRecord{}, false, err
	}
	order.Suppress = func(i HeldIdentifier) [16]byte { return e.rooms.Vault.SuppressionTag(i.Kind, i.BlindIndex) }
	order.Record = func(context.Context, [][16]byte) (LedgerPosition, error) { return at, nil }
	done, receipt, err := e.rooms.Store.Shred(ctx, order)
	if errors.Is(err, privacy.ErrNotFound) {
		// Somebody else was quicker: look again.
		return ErasureRecord{}, false, fmt.Errorf("erasing person again: %w", privacy.ErrConflict)
	}
	if err != nil {
		return ErasureRecord{}, false, fmt.Errorf("erasing person again: %w", err)
	}
	record, err = e.done(ctx, &order, done, withheldOf(p.kept), receipt)
	return record, err == nil, err
}

// shredOrphan destroys the key of somebody who is erased, if an older backup of the keys has
// brought it back. It opens nothing here, but it would open an older copy of their data.
func (e *Eraser) shredOrphan(ctx context.Context, by privacy.Principal, person privacy.DataSubjectID, line LedgerRecord) (bool, error) {
	_, err := e.rooms.Store.ShredOrphan(ctx, person, audit.Event{
		Kind: audit.ErasureReplayed, Outcome: audit.Done, Principal: by, Subject: audit.Subject{Unknown: true}, List: line.Plan,
	})
	if errors.Is(err, privacy.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
