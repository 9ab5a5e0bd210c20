package audit

import (
	"bytes"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// PartitionSize is how many entries are archived and dropped together: a complete subtree,
// so that the hashes above it are all that proofs about later entries need.
const PartitionSize = 1 << 20

// ErrArchived: the entries asked for were archived and dropped from the log, under its
// written policy. They are in the archive, and so are proofs about them; the log goes on
// proving what it still has. It wraps [privacy.ErrNotFound].
var ErrArchived = fmt.Errorf("archived and dropped from the log: %w", privacy.ErrNotFound)

// CheckBegin refuses an index that no log begins with, with an error that wraps
// [privacy.ErrDamaged]: one in the middle of a partition, or behind the end.
func CheckBegin(begin, size uint64) error {
	if begin%PartitionSize != 0 || begin > size {
		return fmt.Errorf("log of %d entries that begins with entry %d: %w", size, begin, privacy.ErrDamaged)
	}
	return nil
}

// AppendTile adds 256 leaves at once, of which only the root of their tile is known, and
// appends the tiles of the levels above that it completes to full, lowest first. The edge
// must stand at a multiple of 256.
func (e *Edge) AppendTile(root tlog.Hash, full []FullTile) []FullTile {
	if e.size%TileWidth != 0 {
		panic("audit: a tile is appended in the middle of another")
	}
	e.push(1, root)
	hash, level := root, tileHeight
	for ; e.size>>level&1 == 1; level++ {
		hash = tlog.NodeHash(e.stack[level], hash)
		if above := level + 1; above%tileHeight == 0 {
			tile := above/tileHeight - 1
			full = append(full, FullTile{
				Level: tile, N: (e.size+TileWidth)>>above - 1, Hashes: e.tiles[tile], Root: hash,
			})
			e.tiles[tile] = nil
			e.push(tile+1, hash)
		}
	}
	e.stack[level] = hash
	e.size += TileWidth
	return full
}

// runKept rebuilds the tree below the first entry that is still there from the roots of the
// tiles that were dropped, and compares with it what was kept: the tiles above them, their
// roots, the commits and the signed checkpoints. Where a checkpoint ends within a tile, that
// tile is kept too.
func (v *verification) runKept() error {
	for v.edge.Size() < v.begin {
		n := v.edge.Size() / TileWidth
		subtree, err := v.subtrees[0].peek()
		if err != nil {
			return err
		}
		if subtree == nil || subtree.N != n {
			v.found(v.edge.Size(), SubtreeMissing, "level 0, subtree %d; the rest was not checked", n)
			v.broken = true
			return nil
		}
		root, err := v.keptRoot(subtree)
		if err != nil {
			return err
		}
		if err := v.keptTile(n, root); err != nil {
			return err
		}
		v.subtrees[0].pop()
		v.full = v.edge.AppendTile(root, v.full[:0])
		for i := range v.full {
			if err := v.compareFull(&v.full[i]); err != nil {
				return err
			}
		}
		if err := v.compareHead(); err != nil {
			return err
		}
	}
	return nil
}

// keptRoot is the root of a dropped tile, which stands in two places. If they differ, the one
// that leads to the root above is right.
func (v *verification) keptRoot(stored *StoredSubtree) (tlog.Hash, error) {
	tile, err := v.tiles[1].peek()
	if err != nil || tile == nil || tile.N != stored.N/TileWidth || len(tile.Hashes) != TileBytes {
		return stored.Root, err
	}
	other := tlog.Hash(tile.Hashes[stored.N%TileWidth*tlog.HashSize:])
	if other == stored.Root {
		return stored.Root, nil
	}
	above, err := v.subtrees[1].peek()
	if err != nil || above == nil || above.N != tile.N {
		return stored.Root, err
	}
	var whole Edge
	for at := 0; at < TileBytes; at += tlog.HashSize {
		whole.Append(tlog.Hash(tile.Hashes[at:]), nil)
	}
	if whole.Root() != above.Root {
		return stored.Root, nil
	}
	v.found(stored.N*TileWidth, SubtreeAltered, "level 0, subtree %d", stored.N)
	return other, nil
}

// keptTile goes through a tile of level 0 that was kept when its entries were dropped.
// Without one, commits that end within the tile cannot be recomputed, and are passed over.
func (v *verification) keptTile(n uint64, root tlog.Hash) error {
	tile, err := v.tiles[0].peek()
	if err != nil {
		return err
	}
	end := (n + 1) * TileWidth
	if tile == nil || tile.N != n {
		return v.passOver(end)
	}
	defer v.tiles[0].pop()
	v.report.Tiles++
	before := v.edge
	defer func() { v.edge = before }()
	if len(tile.Hashes) != TileBytes {
		v.found(v.edge.Size(), TileAltered, "level 0, tile %d has %d bytes", n, len(tile.Hashes))
		return v.passOver(end)
	}
	// Checked as a whole first: then each of its hashes is what it was.
	whole := before
	for at := 0; at < TileBytes; at += tlog.HashSize {
		v.full = whole.Append(tlog.Hash(tile.Hashes[at:]), v.full[:0])
	}
	if len(v.full) == 0 || v.full[0].Root != root {
		v.found(before.Size(), TileAltered, "level 0, tile %d", n)
		return v.passOver(end)
	}
	v.edge = before
	hashes := bytes.Clone(tile.Hashes)
	for at := 0; at < TileBytes-tlog.HashSize; at += tlog.HashSize {
		v.edge.Append(tlog.Hash(hashes[at:]), nil)
		if err := v.compareHead(); err != nil {
			return err
		}
	}
	return nil
}

// passOver leaves out the commits that end within a tile of which the leaf hashes are gone.
// Checkpoints do not: their tiles are kept.
func (v *verification) passOver(end uint64) error {
	for {
		stored, err := v.roots.peek()
		if err != nil {
			return err
		}
		if stored == nil || stored.Size >= end {
			break
		}
		v.roots.pop()
	}
	for {
		stored, err := v.checkpoints.peek()
		if err != nil {
			return err
		}
		if stored == nil || stored.Size >= end {
			break
		}
		v.report.Checkpoints++
		if _, ok := v.openCheckpoint(stored, v.coSize); ok {
			v.found(end-TileWidth, TileMissing, "level 0, tile %d, without which the checkpoint of size %d cannot be recomputed", end/TileWidth-1, stored.Size)
		}
		v.coSize = stored.Size
		v.checkpoints.pop()
	}
	for _, kept := range v.config.Kept {
		if end-TileWidth < kept.Size && kept.Size < end {
			v.archived = append(v.archived, kept.Size)
		}
	}
	return nil
}
