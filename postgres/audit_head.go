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

// partitionSize is how many entries a partition of audit.entry holds.
const partitionSize = 1 << 20

// logHead is where this process believes the log ends.
type logHead struct {
	edge audit.Edge
	root tlog.Hash // edge.Root()
	// stale says that an attempt failed, so that the belief must be checked first.
	stale bool
	// clock is what the clock showed at the last write of this process, or the time of
	// the last entry that was there when it began; milliseconds.
	clock int64
}

func (h *logHead) moveTo(edge audit.Edge, root tlog.Hash) {
	h.edge, h.root, h.stale = edge, root, false
}

const sqlAuditClaimHead = `select coalesce(size, 0), coalesce(root, ''::bytea) from audit.claim_head()`

// lock takes the log's lock in the transaction that is open on conn and brings the head
// up to date. It reports whether the log had moved.
func (h *logHead) lock(ctx context.Context, conn *pgx.Conn) (moved bool, err error) {
	var size int64
	var root []byte
	if err := conn.QueryRow(ctx, sqlAuditClaimHead).Scan(&size, &root); err != nil {
		return false, fmt.Errorf("locking audit log: %w", err)
	}
	if h.is(uint64(size), root) {
		h.stale = false
		return false, nil
	}
	h.stale = true
	return true, h.follow(ctx, conn, uint64(size), root)
}

func (h *logHead) is(size uint64, root []byte) bool {
	return size == h.edge.Size() && (size == 0 || string(root) == string(h.root[:]))
}

// maxCatchUp is how many new leaf hashes are worth reading instead of the whole edge.
const maxCatchUp = 2048

// follow moves the head to (size, root): by the leaf hashes that came in between, or
// from the stored edge. It refuses a log whose root does not recompute either way.
func (h *logHead) follow(ctx context.Context, q querier, size uint64, root []byte) error {
	if from := h.edge.Size(); from < size && size-from <= maxCatchUp {
		hashes, err := leafHashes(ctx, q, from, size)
		if err != nil {
			return err
		}
		edge := h.edge
		for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
			edge.Append(tlog.Hash(hashes), nil)
		}
		if got := edge.Root(); edge.Size() == size && string(got[:]) == string(root) {
			h.moveTo(edge, got)
			return nil
		}
	}
	edge, err := readEdge(ctx, q, size)
	if err != nil {
		return err
	}
	got := edge.Root()
	if size > 0 && string(got[:]) != string(root) {
		return fmt.Errorf("root of audit log does not recompute at size %d: %w", size, privacy.ErrDamaged)
	}
	h.moveTo(edge, got)
	return nil
}

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const sqlAuditHead = `select size, root from audit.batch order by size desc limit 1`

// readHead returns the last committed size and root; zero for an empty log.
func readHead(ctx context.Context, q querier) (size uint64, root []byte, err error) {
	var n int64
	err = q.QueryRow(ctx, sqlAuditHead).Scan(&n, &root)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("reading head of audit log: %w", translate(err))
	}
	return uint64(n), root, nil
}

const sqlAuditFirst = `select coalesce(max(begin_index), 0) from audit.pruned`

// readBegin returns the index of the first entry that was not archived and dropped.
func readBegin(ctx context.Context, q querier) (uint64, error) {
	var n int64
	if err := q.QueryRow(ctx, sqlAuditFirst).Scan(&n); err != nil {
		return 0, fmt.Errorf("reading where the audit log begins: %w", translate(err))
	}
	return uint64(n), nil
}

const sqlAuditLeafHashes = `
select coalesce(string_agg(leaf_hash, ''::bytea order by seq), ''::bytea)
from audit.entry where seq >= $1 and seq < $2`

func leafHashes(ctx context.Context, q querier, from, to uint64) ([]byte, error) {
	var hashes []byte
	if err := q.QueryRow(ctx, sqlAuditLeafHashes, int64(from), int64(to)).Scan(&hashes); err != nil {
		return nil, fmt.Errorf("reading leaf hashes: %w", translate(err))
	}
	if uint64(len(hashes)) != (to-from)*tlog.HashSize {
		return keptHashes(ctx, q, from, to)
	}
	return hashes, nil
}

const sqlAuditKeptHashes = `
select substring(hashes from $2 for $3) from audit.kept_tile where n = $1`

// keptHashes returns leaf hashes of one tile that outlived its entries.
func keptHashes(ctx context.Context, q querier, from, to uint64) ([]byte, error) {
	begin, err := readBegin(ctx, q)
	if err != nil {
		return nil, err
	}
	if to > begin {
		return nil, fmt.Errorf("reading leaf hashes %d to %d: some are missing: %w", from, to, privacy.ErrDamaged)
	}
	n, first := from/audit.TileWidth, from%audit.TileWidth
	var hashes []byte
	err = q.QueryRow(ctx, sqlAuditKeptHashes, int64(n), int32(first*tlog.HashSize+1), int32((to-from)*tlog.HashSize)).Scan(&hashes)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("reading leaf hashes %d to %d of a log that begins with %d: %w", from, to, begin, audit.ErrArchived)
	}
	if err != nil {
		return nil, fmt.Errorf("reading kept leaf hashes: %w", translate(err))
	}
	if uint64(len(hashes)) != (to-from)*tlog.HashSize {
		return nil, fmt.Errorf("reading kept leaf hashes %d to %d: %w", from, to, privacy.ErrDamaged)
	}
	return hashes, nil
}

const sqlAuditSubtreeHashes = `
select coalesce(string_agg(hash, ''::bytea order by n), ''::bytea)
from audit.subtree where level = $1 and n >= $2 and n < $3`

func subtreeHashes(ctx context.Context, q querier, level int, from, to uint64) ([]byte, error) {
	var hashes []byte
	if err := q.QueryRow(ctx, sqlAuditSubtreeHashes, int16(level), int64(from), int64(to)).Scan(&hashes); err != nil {
		return nil, fmt.Errorf("reading subtree hashes: %w", translate(err))
	}
	if uint64(len(hashes)) != (to-from)*tlog.HashSize {
		return nil, fmt.Errorf("reading hashes of level %d, %d to %d: some are missing: %w", level, from, to, privacy.ErrDamaged)
	}
	return hashes, nil
}

// readEdge rebuilds the right edge of the log at that size: at most 255 hashes a level.
func readEdge(ctx context.Context, q querier, size uint64) (audit.Edge, error) {
	var tiles [audit.TileLevels][]byte
	for level := range tiles {
		first, count := audit.Unfinished(size, level)
		if count == 0 {
			continue
		}
		var err error
		if level == 0 {
			tiles[level], err = leafHashes(ctx, q, first, first+uint64(count))
		} else {
			tiles[level], err = subtreeHashes(ctx, q, level-1, first, first+uint64(count))
		}
		if err != nil {
			return audit.Edge{}, err
		}
	}
	return audit.LoadEdge(size, tiles)
}

// loadHead reads the head for the first time, from one snapshot, and checks the leaves
// of the unfinished tile against their hashes.
func (l *AuditLog) loadHead(ctx context.Context) error {
	tx, err := l.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback(ctx) }()
	size, root, err := readHead(ctx, tx)
	if err != nil {
		return err
	}
	first, _ := audit.Unfinished(size, 0)
	entries, err := readEntries(ctx, tx, first, audit.TileWidth)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Index >= size || audit.LeafHash(e.Leaf) != e.LeafHash {
			return fmt.Errorf("checking last entries of audit log: entry %d: %w", e.Index, privacy.ErrDamaged)
		}
	}
	if err := l.head.follow(ctx, tx, size, root); err != nil || size == 0 {
		return err
	}
	return l.recallClock(ctx, tx, size)
}

const sqlAuditFindBatch = `select exists (select from audit.batch where size = $1 and root = $2)`

// findBatch reports whether exactly this write is in the log already. Entry ids are
// random, so no other write has its root.
func findBatch(ctx context.Context, q querier, w *logWrite) (found bool, err error) {
	err = q.QueryRow(ctx, sqlAuditFindBatch, int64(w.edge.Size()), w.root[:]).Scan(&found)
	return found, err
}

const sqlAuditAddPartition = `select audit.add_partition($1)`

// addPartitions makes sure that the partition for index size and the next one exist.
func (l *AuditLog) addPartitions(ctx context.Context, size uint64) error {
	k := int64(size / partitionSize)
	for _, k := range [...]int64{k, k + 1} {
		if _, err := l.db.pool.Exec(ctx, sqlAuditAddPartition, k); err != nil {
			return fmt.Errorf("adding partition %d: %w", k, translate(err))
		}
	}
	return nil
}

// growAfter makes the next partitions in the background when a write has reached the
// middle of one: long before they are needed, and again and again should it fail.
func (l *AuditLog) growAfter(first, size uint64) {
	const step = partitionSize / 16
	if first/step == size/step || size%partitionSize < partitionSize/2 {
		return
	}
	l.work.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), l.config.Deadline)
		defer cancel()
		if err := l.addPartitions(ctx, size); err != nil {
			l.config.Logger.Error("audit log has no room prepared", "size", size, "error", err)
		}
	})
}
