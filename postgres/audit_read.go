package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

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
	return collectEntries(rows)
}

// Entries returns up to limit committed entries from an index on, in order.
func (l *AuditLog) Entries(ctx context.Context, from uint64, limit int) ([]audit.StoredEntry, error) {
	return readEntries(ctx, l.db.pool, from, limit)
}

const sqlAuditEntriesAt = `
select seq, leaf, leaf_hash from audit.entry where seq = any ($1::bigint[]) order by seq`

// EntriesAt returns the committed entries with these indexes, in order.
func (l *AuditLog) EntriesAt(ctx context.Context, indexes []uint64) ([]audit.StoredEntry, error) {
	return readEntriesAt(ctx, l.db.pool, indexes)
}

func readEntriesAt(ctx context.Context, q querier, indexes []uint64) ([]audit.StoredEntry, error) {
	list := make([]int64, len(indexes))
	for i, index := range indexes {
		list[i] = int64(index)
	}
	rows, err := q.Query(ctx, sqlAuditEntriesAt, list)
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", translate(err))
	}
	return collectEntries(rows)
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
	entries, err := collectEntries(rows)
	slices.Reverse(entries)
	return entries, err
}

// Begin returns the index of the first entry that is still there: zero, or where the last
// partition ended that was archived and dropped. A proof of an entry before it is an error
// that wraps [audit.ErrArchived].
func (l *AuditLog) Begin(ctx context.Context) (uint64, error) { return readBegin(ctx, l.db.pool) }

// Size returns how many entries are committed.
func (l *AuditLog) Size(ctx context.Context) (uint64, error) {
	size, _, err := readHead(ctx, l.db.pool)
	return size, err
}

const sqlAuditLatestCheckpoint = `select note from audit.checkpoint order by size desc limit 1`

// LatestCheckpoint returns the newest signed note as it is published, with the signatures of
// witnesses under it. If a quorum of them is demanded, one that has it is preferred to one
// that is a few seconds younger and still waits for it. It returns an error that wraps
// [privacy.ErrNotFound] before the first was signed, and one that wraps
// [privacy.ErrDamaged] if the stored note does not verify.
func (l *AuditLog) LatestCheckpoint(ctx context.Context) ([]byte, error) {
	return l.latestCheckpoint(ctx, publishWithin)
}

// newestCheckpoint is [AuditLog.LatestCheckpoint] without waiting for witnesses.
func (l *AuditLog) newestCheckpoint(ctx context.Context) ([]byte, error) {
	return l.latestCheckpoint(ctx, 0)
}

// publishWithin is how long a checkpoint waits for its quorum before it is published
// without.
const publishWithin = 10 * time.Second

func (l *AuditLog) latestCheckpoint(ctx context.Context, within time.Duration) ([]byte, error) {
	if l.checkpoints == nil {
		return nil, fmt.Errorf("reading latest checkpoint without the log's public key: %w", privacy.ErrInvalid)
	}
	signed, err := l.checkpoints.published(ctx, within)
	if err != nil {
		return nil, fmt.Errorf("reading latest checkpoint: %w", err)
	}
	return signed, nil
}

func collectEntries(rows pgx.Rows) ([]audit.StoredEntry, error) {
	entries, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e audit.StoredEntry, err error) {
		var index int64
		var hash []byte
		err = row.Scan(&index, &e.Leaf, &hash)
		e.Index, e.LeafHash = uint64(index), hashOf(hash)
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading entries: %w", translate(err))
	}
	return entries, nil
}
