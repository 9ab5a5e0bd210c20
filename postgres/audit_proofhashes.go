package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

// proofHashes reads what a proof needs in one round trip, whole tiles at a time: a proof in
// a log of ten million entries takes two dozen hashes, which lie in at most seven tiles.
// What it does not find that way, [storedHashes] looks for, or says why it is missing.
type proofHashes struct {
	ctx context.Context
	q   batchQuerier
	// also, if there is any, is asked along with the first hashes, at the cost of no round
	// trip of its own.
	also *alsoAsked
}

// batchQuerier is a pool or a transaction.
type batchQuerier interface {
	querier
	SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults
}

// alsoAsked is a question that goes with another one, once.
type alsoAsked struct {
	queue func(*pgx.Batch)
	asked bool
}

// The hashes of a tile: as it is stored if it is full, otherwise from what is below it.
const (
	sqlAuditProofTile0 = `
select coalesce(
    (select t.hashes from audit.tile0 t where t.n = $1),
    (select string_agg(e.leaf_hash, ''::bytea order by e.seq) from audit.entry e where e.seq >= $1 * 256 and e.seq < ($1 + 1) * 256),
    ''::bytea)`
	sqlAuditProofTileHi = `
select coalesce(
    (select t.hashes from audit.tile_hi t where t.level = $1 and t.n = $2),
    (select string_agg(s.hash, ''::bytea order by s.n) from audit.subtree s
     where s.level = $1 - 1 and s.n >= $2 * 256 and s.n < ($2 + 1) * 256),
    ''::bytea)`
)

// proofTile names a tile.
type proofTile struct {
	level int
	n     uint64
}

// ReadHashes implements [tlog.HashReader].
func (p proofHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	tiles := map[proofTile][]byte{}
	batch := &pgx.Batch{}
	for _, index := range indexes {
		tile, _, _ := tileOf(index)
		if _, known := tiles[tile]; known {
			continue
		}
		tiles[tile] = nil
		sql, args := sqlAuditProofTileHi, []any{int16(tile.level), int64(tile.n)}
		if tile.level == 0 {
			sql, args = sqlAuditProofTile0, args[1:]
		}
		batch.Queue(sql, args...).QueryRow(func(row pgx.Row) error {
			var hashes []byte
			err := row.Scan(&hashes)
			tiles[tile] = hashes
			return err
		})
	}
	if p.also != nil && !p.also.asked {
		p.also.asked = true
		p.also.queue(batch)
	}
	if err := p.q.SendBatch(p.ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading tiles: %w", translate(err))
	}
	out := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		tile, from, to := tileOf(index)
		if hashes := tiles[tile]; len(hashes) >= to*tlog.HashSize {
			out[i] = subtreeRoot(hashes[from*tlog.HashSize : to*tlog.HashSize])
			continue
		}
		one, err := storedHashes{p.ctx, p.q}.ReadHashes(indexes[i : i+1])
		if err != nil {
			return nil, err
		}
		out[i] = one[0]
	}
	return out, nil
}

// tileOf returns the tile below which a stored hash lies, and which of its hashes are
// those of its subtree.
func tileOf(index int64) (tile proofTile, from, to int) {
	level, n := tlog.SplitStoredHashIndex(index)
	first := uint64(n) << (level % 8)
	from = int(first % audit.TileWidth)
	return proofTile{level / 8, first / audit.TileWidth}, from, from + 1<<(level%8)
}

// subtreeRoot is the root over a power of two of hashes.
func subtreeRoot(hashes []byte) tlog.Hash {
	nodes := make([]tlog.Hash, 0, audit.TileWidth/2)
	for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
		nodes = append(nodes, tlog.Hash(hashes))
	}
	for ; len(nodes) > 1; nodes = nodes[:len(nodes)/2] {
		for i := range len(nodes) / 2 {
			nodes[i] = tlog.NodeHash(nodes[2*i], nodes[2*i+1])
		}
	}
	return nodes[0]
}
