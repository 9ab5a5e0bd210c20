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

const sqlAuditEntries = `
select seq, leaf, leaf_hash from audit.entry where seq >= $1 order by seq limit $2`

// readEntries returns up to limit entries from index from on, in order.
func readEntries(ctx context.Context, q querier, from uint64, limit int) ([]audit.StoredEntry, error) {
	rows, err := q.Query(ctx, sqlAuditEntries, int64(from), int64(limit))
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", translate(err))
	}
	return collect(rows, "entries", func(e *audit.StoredEntry, scan func(...any) error) error {
		var index int64
		var hash []byte
		err := scan(&index, &e.Leaf, &hash)
		e.Index = uint64(index)
		return errors.Join(err, fill(&e.LeafHash, hash))
	})
}

const sqlAuditTail = `
select seq, leaf, leaf_hash from audit.entry
where seq < (select coalesce(max(size), 0) from audit.batch) order by seq desc limit $1`

// Tail returns the last n entries, oldest first.
func (l *AuditLog) Tail(ctx context.Context, n int) ([]audit.StoredEntry, error) {
	rows, err := l.db.pool.Query(ctx, sqlAuditTail, n)
	if err != nil {
		return nil, fmt.Errorf("reading last entries: %w", translate(err))
	}
	entries, err := collect(rows, "last entries", func(e *audit.StoredEntry, scan func(...any) error) error {
		var index int64
		var hash []byte
		err := scan(&index, &e.Leaf, &hash)
		e.Index = uint64(index)
		return errors.Join(err, fill(&e.LeafHash, hash))
	})
	for i, j := 0, len(entries)-1; i < j; i, j = i+1, j-1 {
		entries[i], entries[j] = entries[j], entries[i]
	}
	return entries, err
}

// Size returns how many entries are committed.
func (l *AuditLog) Size(ctx context.Context) (uint64, error) {
	size, _, err := readHead(ctx, l.db.pool)
	return size, err
}

const sqlAuditLatestCheckpoint = `select note from audit.checkpoint order by size desc limit 1`

// LatestCheckpoint returns the newest signed note. It returns an error that wraps
// [privacy.ErrNotFound] before the first was signed, and one that wraps
// [privacy.ErrDamaged] if the stored note does not verify.
func (l *AuditLog) LatestCheckpoint(ctx context.Context) ([]byte, error) {
	var signed []byte
	err := l.db.pool.QueryRow(ctx, sqlAuditLatestCheckpoint).Scan(&signed)
	if err != nil {
		return nil, fmt.Errorf("reading latest checkpoint: %w", translate(err))
	}
	if l.verifier == nil {
		return nil, fmt.Errorf("reading latest checkpoint without the log's public key: %w", privacy.ErrInvalid)
	}
	if _, err := audit.OpenCheckpoint(signed, l.verifier); err != nil {
		return nil, err
	}
	return signed, nil
}

// collect reads rows with one scan function a row.
func collect[T any](rows pgx.Rows, what string, read func(row *T, scan func(...any) error) error) ([]T, error) {
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) {
		var t T
		return t, read(&t, row.Scan)
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", what, translate(err))
	}
	return all, nil
}

// fill copies a stored hash. One of another length is kept out by the table; should the
// table have been changed, it becomes a hash that fits nothing.
func fill(dst *tlog.Hash, stored []byte) error {
	if len(stored) == len(dst) {
		copy(dst[:], stored)
	}
	return nil
}
