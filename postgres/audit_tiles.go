package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// LogTiles reads the published part of the log as C2SP tlog-tiles has it: what the newest
// checkpoint covers, and nothing behind it. Each tile is one statement on one page of
// rows, so that whoever mirrors the whole log never holds a snapshot open.
type LogTiles struct {
	log *AuditLog
	// published is a size that some checkpoint covers. It only grows.
	published atomic.Uint64
}

// NewLogTiles reads the tiles of log.
func NewLogTiles(log *AuditLog) *LogTiles { return &LogTiles{log: log} }

// Checkpoint returns the newest checkpoint as it is published. The error wraps
// [privacy.ErrNotFound] before there is one.
func (t *LogTiles) Checkpoint(ctx context.Context) ([]byte, error) {
	signed, err := t.log.LatestCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	return signed, t.publish(signed)
}

func (t *LogTiles) publish(signed []byte) error {
	checkpoint, err := audit.OpenCheckpoint(signed, t.log.verifier)
	if err != nil {
		return err
	}
	for size := t.published.Load(); size < checkpoint.Size; size = t.published.Load() {
		t.published.CompareAndSwap(size, checkpoint.Size)
	}
	return nil
}

// Tile returns the bytes of a tile: hashes one after the other, or the entries under a tile
// of level 0, each behind its length. The error wraps [privacy.ErrNotFound] for a tile that
// reaches beyond the newest checkpoint, [audit.ErrArchived] for one that was archived and
// dropped, [audit.ErrArchived] for one that was
// archived and dropped, and [privacy.ErrDamaged] if stored rows are missing.
func (t *LogTiles) Tile(ctx context.Context, name audit.TileName) ([]byte, error) {
	covered, err := t.covers(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("reading tile: %w", err)
	}
	if !covered {
		return nil, fmt.Errorf("reading tile beyond the newest checkpoint: %w", privacy.ErrNotFound)
	}
	pool, first := t.log.db.pool, name.N*audit.TileWidth
	last := first + uint64(name.Width)
	switch {
	case name.Entries:
		return bundledEntries(ctx, pool, first, name.Width)
	case name.Width == audit.TileWidth:
		return fullTile(ctx, pool, name.Level, name.N)
	case name.Level == 0:
		return leafHashes(ctx, pool, first, last)
	default:
		return subtreeHashes(ctx, pool, name.Level-1, first, last)
	}
}

// covers reports whether a checkpoint covers the tile. It looks for a newer one only if
// what is known does not.
func (t *LogTiles) covers(ctx context.Context, name audit.TileName) (bool, error) {
	within := func() bool {
		return t.published.Load()>>(8*name.Level) >= name.N*audit.TileWidth+uint64(name.Width)
	}
	if within() {
		return true, nil
	}
	if _, err := t.Checkpoint(ctx); err != nil {
		return false, err
	}
	return within(), nil
}

const sqlAuditTile0 = `
select hashes from audit.tile0 where n = $1
union all
select hashes from audit.kept_tile where n = $1`

const sqlAuditTileHi = `select hashes from audit.tile_hi where level = $1 and n = $2`

func fullTile(ctx context.Context, q querier, level int, n uint64) (hashes []byte, err error) {
	if level == 0 {
		err = q.QueryRow(ctx, sqlAuditTile0, int64(n)).Scan(&hashes)
	} else {
		err = q.QueryRow(ctx, sqlAuditTileHi, int16(level), int64(n)).Scan(&hashes)
	}
	if errors.Is(err, pgx.ErrNoRows) && level == 0 {
		return keptHashes(ctx, q, n*audit.TileWidth, (n+1)*audit.TileWidth)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		if level == 0 {
			err = whyMissing(ctx, q, n*audit.TileWidth)
		} else {
			err = privacy.ErrDamaged
		}
		return nil, fmt.Errorf("reading tile %d of level %d: it is missing: %w", n, level, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading tile: %w", translate(err))
	}
	return hashes, nil
}

// whyMissing is [audit.ErrArchived] for an index before the first entry that is still there,
// and [privacy.ErrDamaged] for every other.
func whyMissing(ctx context.Context, q querier, index uint64) error {
	begin, err := readBegin(ctx, q)
	switch {
	case err != nil:
		return err
	case index < begin:
		return audit.ErrArchived
	}
	return privacy.ErrDamaged
}

func bundledEntries(ctx context.Context, q querier, first uint64, width int) ([]byte, error) {
	entries, err := readEntries(ctx, q, first, width)
	if err != nil {
		return nil, err
	}
	var bundle []byte
	for i, e := range entries {
		if e.Index != first+uint64(i) {
			break
		}
		if i == 0 {
			bundle = make([]byte, 0, width*(len(e.Leaf)+32))
		}
		bundle = audit.AppendBundled(bundle, e.Leaf)
		width--
	}
	if width != 0 {
		begin, err := readBegin(ctx, q)
		if err != nil {
			return nil, err
		}
		if first < begin {
			return nil, fmt.Errorf("reading entries from %d on of a log that begins with %d: %w", first, begin, audit.ErrArchived)
		}
		return nil, fmt.Errorf("reading entries from %d on: some are missing: %w", first, whyMissing(ctx, q, first))
	}
	return bundle, nil
}
