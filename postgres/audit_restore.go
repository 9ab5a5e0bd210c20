package postgres

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// restoredWithin is how far from the end an entry is looked for that says that the log was
// restored: it is written before anything else is.
const restoredWithin = 4096

// RestoreAuditLog lets a log go on that is shorter than the checkpoint lost, which was kept
// outside the database: its operator has restored an older dump, and the entries that came
// after it are gone. The entry says so for ever, with the digest of lost; the caller keeps
// lost itself. It returns a checkpoint of the log as it is now, signed.
//
// Nothing in a database tells a restore by its operator from one by somebody who wanted
// entries gone. So this MUST only be called when somebody answers for it, who is the
// principal of event. Nothing is left of the privacy budgets of clean rooms afterwards. It refuses, with an error that wraps [privacy.ErrConflict], a log that
// is not shorter: that is no restore. Called again for the same checkpoint it writes no
// second entry.
func RestoreAuditLog(ctx context.Context, db *DB, config AuditConfig, lost []byte, event audit.Event) (signed []byte, err error) {
	config.Memory, config.SignEvery = nil, -1
	l, err := OpenAuditLog(ctx, db, config)
	if err != nil {
		return nil, fmt.Errorf("restoring log: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close(context.WithoutCancel(ctx))) }()
	kept, _, err := l.checkpoints.open(lost, true)
	if err != nil {
		return nil, fmt.Errorf("restoring log: %w", err)
	}
	event.Kind, event.Outcome, event.List = audit.LogRestored, audit.Done, sha256.Sum256(lost)
	written, err := l.restoredFrom(ctx, event.List)
	if err != nil {
		return nil, fmt.Errorf("restoring log: %w", err)
	}
	if !written {
		size, err := l.Size(ctx)
		if err != nil {
			return nil, fmt.Errorf("restoring log: %w", err)
		}
		if size >= kept.Size {
			return nil, fmt.Errorf("the log has %d entries and is not shorter than the kept checkpoint of size %d, so it was not restored but changed; "+
				"copy both as evidence and run: mahrem audit verify: %w", size, kept.Size, privacy.ErrConflict)
		}
		event.Count = kept.Size - size
		if _, err := l.AppendTx(ctx, event, endBudgets); err != nil {
			return nil, fmt.Errorf("logging that the log was restored: %w", err)
		}
	}
	if err := l.SignCheckpoint(ctx); err != nil {
		return nil, fmt.Errorf("restoring log: %w", err)
	}
	return l.newestCheckpoint(ctx)
}

// How much of a privacy budget was spent after the dump is not known any more, and its
// answers are in other hands. So nothing is left of any, in the transaction of the entry
// that says that the log was restored: its owner, who may know, signs the next version of the
// contract, and with it how much may be spent in all ([RoomStore.AddContract]).
const sqlBudgetsEnd = `
update cleanroom.budget
set cap = spent, floor = spent
where cap > spent`

func endBudgets(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, sqlBudgetsEnd); err != nil {
		return fmt.Errorf("ending privacy budgets: %w", translate(err))
	}
	return nil
}

// ExtendsCheckpoint reports whether the log in db begins with the signed checkpoint that was
// kept. It works on a log that [OpenAuditLog] refuses.
func ExtendsCheckpoint(ctx context.Context, db *DB, origin string, key ed25519.PublicKey, signed []byte) (bool, error) {
	verifier, err := audit.NewVerifier(origin, key)
	if err != nil {
		return false, err
	}
	kept, err := audit.OpenCheckpoint(signed, verifier)
	if err != nil {
		return false, fmt.Errorf("comparing log with kept checkpoint: %w", err)
	}
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return false, translate(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	size, root, err := readHead(ctx, tx)
	if err != nil {
		return false, err
	}
	head := audit.Checkpoint{Origin: origin, Size: size}
	if size > 0 {
		head.Root = hashOf(root)
	}
	if kept == head {
		return true, nil
	}
	err = checkGrowth(ctx, tx, kept, head)
	if errors.Is(err, privacy.ErrDamaged) {
		return false, nil
	}
	return err == nil, err
}

// restoredFrom reports whether an entry says already that the log was restored after the
// checkpoint with that digest.
func (l *AuditLog) restoredFrom(ctx context.Context, lost audit.Digest) (bool, error) {
	return l.HasEntry(ctx, audit.LogRestored, lost)
}

// HasEntry reports whether one of the last entries is of that kind and about the document
// with that digest.
func (l *AuditLog) HasEntry(ctx context.Context, kind audit.Kind, list audit.Digest) (bool, error) {
	stored, err := l.Tail(ctx, restoredWithin)
	if err != nil {
		return false, err
	}
	for _, s := range stored {
		entry, err := audit.ParseEntry(s.Leaf)
		if err != nil {
			return false, err
		}
		if entry.Kind == kind && entry.List == list {
			return true, nil
		}
	}
	return false, nil
}
