package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Prove returns an entry with a proof that it is in the log, under a checkpoint that is
// stored. If the newest checkpoint is older than the entry, a new one is signed first. The
// error wraps [privacy.ErrNotFound] if there is no such entry, [audit.ErrArchived] if it was
// archived, and [privacy.ErrDamaged] if
// what is stored does not prove itself.
func (l *AuditLog) Prove(ctx context.Context, index uint64) (audit.Inclusion, error) {
	checkpoint, err := l.newestCheckpoint(ctx)
	if err != nil && !errors.Is(err, privacy.ErrNotFound) {
		return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
	}
	if covered, err := l.covers(checkpoint, index); err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
	} else if !covered {
		if err := l.SignCheckpoint(ctx); err != nil {
			return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
		}
		if checkpoint, err = l.newestCheckpoint(ctx); err != nil {
			return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
		}
	}
	proof, err := l.prove(ctx, index, checkpoint)
	if err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
	}
	// A proof that does not hold is worth nothing: better to say so here than to let an
	// auditor find it.
	if _, err := proof.Verify(l.verifier); err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry: %w", err)
	}
	return proof, nil
}

// covers reports whether the tree of a signed note has the entry. No note has none.
func (l *AuditLog) covers(signed []byte, index uint64) (bool, error) {
	if signed == nil {
		return false, nil
	}
	checkpoint, err := audit.OpenCheckpoint(signed, l.verifier)
	return checkpoint.Size > index, err
}

func (l *AuditLog) prove(ctx context.Context, index uint64, signed []byte) (audit.Inclusion, error) {
	checkpoint, err := audit.OpenCheckpoint(signed, l.verifier)
	if err != nil {
		return audit.Inclusion{}, err
	}
	if checkpoint.Size <= index {
		return audit.Inclusion{}, fmt.Errorf("the log has %d entries: %w", checkpoint.Size, privacy.ErrNotFound)
	}
	// What is asked for never changes, and the proof is checked afterwards: no snapshot is
	// needed that would cost two more round trips.
	var entries []audit.StoredEntry
	read := false
	readEntry := func(batch *pgx.Batch) {
		batch.Queue(sqlAuditEntriesAt, []int64{int64(index)}).Query(func(rows pgx.Rows) (err error) { // not of all partitions behind it
			entries, err = collectEntries(rows)
			read = err == nil
			return err
		})
	}
	also := &alsoAsked{queue: readEntry}
	path, err := tlog.ProveRecord(int64(checkpoint.Size), int64(index), proofHashes{ctx, l.db.pool, also})
	if err == nil && !also.asked { // the only entry needs no hashes
		batch := &pgx.Batch{}
		readEntry(batch)
		err = translate(l.db.pool.SendBatch(ctx, batch).Close())
	}
	if read && (len(entries) != 1 || entries[0].Index != index) {
		return audit.Inclusion{}, fmt.Errorf("entry %d is missing: %w", index, whyMissing(ctx, l.db.pool, index))
	}
	if err != nil {
		return audit.Inclusion{}, fmt.Errorf("reading hashes: %w", err)
	}
	return audit.Inclusion{Index: index, Leaf: entries[0].Leaf, Path: path, Checkpoint: signed}, nil
}
