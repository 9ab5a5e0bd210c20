package bundle

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Prove makes the proof of one entry out of the bundle, under its checkpoint. Nothing is
// taken on trust: every tile that is read has to fit the root of the checkpoint. An error
// wraps [privacy.ErrNotFound] if the checkpoint does not cover the entry, [audit.ErrArchived]
// if the bundle begins behind it, and [privacy.ErrDamaged] if a file is not what the tree says.
func (b *Bundle) Prove(ctx context.Context, index uint64) (audit.Inclusion, error) {
	if size := b.checkpoint.Size; index >= size {
		return audit.Inclusion{}, fmt.Errorf("proving entry %d of %d: %w", index, size, privacy.ErrNotFound)
	}
	if index < b.manifest.Begin || index >= b.manifest.End {
		return audit.Inclusion{}, fmt.Errorf("proving entry %d: %w", index, audit.ErrArchived)
	}
	entries, err := b.Entries(ctx, index, 1)
	if err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry %d: %w", index, err)
	}
	path, err := tlog.ProveRecord(int64(b.checkpoint.Size), int64(index), b.hashes(ctx))
	if err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry %d: %w", index, err)
	}
	proof := audit.Inclusion{Index: index, Leaf: entries[0].Leaf, Path: path, Checkpoint: b.note}
	if _, err := proof.Verify(b.verifier); err != nil {
		return audit.Inclusion{}, fmt.Errorf("proving entry %d: %w", index, err)
	}
	return proof, nil
}

// hashes reads hashes of the tree and authenticates them by the root of the checkpoint.
func (b *Bundle) hashes(ctx context.Context) tlog.HashReader {
	tree := tlog.Tree{N: int64(b.checkpoint.Size), Hash: b.checkpoint.Root}
	tiles := &tileReader{ctx: ctx, files: b.files, seen: map[tlog.Tile][]byte{}}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := tlog.TileHashReader(tree, tiles).ReadHashes(indexes)
		if err != nil && !tiles.failed {
			// Everything was read; it does not fit.
			err = fmt.Errorf("%w: %w", err, privacy.ErrDamaged)
		}
		return hashes, err
	})
}

// tileReader reads tiles for [tlog.TileHashReader] and remembers those that it found true.
type tileReader struct {
	ctx    context.Context
	files  Files
	seen   map[tlog.Tile][]byte
	failed bool // the last reading
}

// Height implements [tlog.TileReader]: C2SP has fixed it.
func (*tileReader) Height() int { return 8 }

// ReadTiles implements [tlog.TileReader].
func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	r.failed = true
	for i, tile := range tiles {
		if known, found := r.seen[tile]; found {
			out[i] = known
			continue
		}
		path := audit.TilePath(tile.L, uint64(tile.N), tile.W)
		content, err := r.files.Read(r.ctx, path, audit.TileBytes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		if len(content) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes: %w", path, len(content), privacy.ErrDamaged)
		}
		out[i] = content
	}
	r.failed = false
	return out, nil
}

// maxSeenTiles bounds the memory of a reader: 32 MiB.
const maxSeenTiles = 4096

// SaveTiles implements [tlog.TileReader].
func (r *tileReader) SaveTiles(tiles []tlog.Tile, contents [][]byte) {
	for i, tile := range tiles {
		if len(r.seen) >= maxSeenTiles {
			clear(r.seen)
		}
		r.seen[tile] = slices.Clone(contents[i])
	}
}
