package audit

import (
	"crypto/sha256"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// The shape of stored tiles, fixed by C2SP tlog-tiles: 256 hashes each.
const (
	tileHeight = 8
	// TileWidth is how many hashes a full tile holds.
	TileWidth = 1 << tileHeight
	// TileBytes is the size of a full tile.
	TileBytes = TileWidth * tlog.HashSize
	// TileLevels is how many levels of tiles a log of 2^56 entries has.
	TileLevels = 7
)

// FullTile is a tile that has just been completed, with the root of the subtree below
// it. It never changes again.
type FullTile struct {
	Level int
	N     uint64
	// Hashes are the 256 hashes, in order.
	Hashes []byte
	// Root is the hash over all of them: entry N of the level above.
	Root tlog.Hash
}

// First is the index of the first entry below the tile.
func (t *FullTile) First() uint64 { return t.N << (tileHeight * (t.Level + 1)) }

// Edge is the right edge of the Merkle tree (RFC 6962 section 2.1): all that must be
// known of a log in order to append to it and to tell its root. The zero value is the
// edge of the empty log.
//
// A copy of an Edge can be thrown away to undo appends. Of an Edge and its copies only
// one may be appended to, because they share memory; going back to an older copy and
// appending there ends the others.
type Edge struct {
	size uint64
	// stack holds at [i] the root of a complete subtree of 2^i entries, for every bit
	// that is set in size.
	stack [tileHeight * TileLevels]tlog.Hash
	// tiles are the unfinished tiles of each level.
	tiles [TileLevels][]byte
}

// Size is the number of entries.
func (e *Edge) Size() uint64 { return e.size }

// Tile returns the hashes of the unfinished tile of a level, as [LoadEdge] takes them. The
// caller must not change them.
func (e *Edge) Tile(level int) []byte { return e.tiles[level] }

// Root is the root hash of the tree.
func (e *Edge) Root() tlog.Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	rest := e.size
	root := e.stack[bits.TrailingZeros64(rest)]
	for rest &= rest - 1; rest != 0; rest &= rest - 1 {
		root = tlog.NodeHash(e.stack[bits.TrailingZeros64(rest)], root)
	}
	return root
}

// Append adds one leaf hash and appends the tiles it completes to full, lowest first.
func (e *Edge) Append(leaf tlog.Hash, full []FullTile) []FullTile {
	e.push(0, leaf)
	hash, level := leaf, 0
	for ; e.size>>level&1 == 1; level++ {
		hash = tlog.NodeHash(e.stack[level], hash)
		if above := level + 1; above%tileHeight == 0 {
			tile := above/tileHeight - 1
			full = append(full, FullTile{
				Level: tile, N: (e.size+1)>>above - 1, Hashes: e.tiles[tile], Root: hash,
			})
			e.tiles[tile] = nil
			e.push(tile+1, hash)
		}
	}
	e.stack[level] = hash
	e.size++
	return full
}

func (e *Edge) push(tile int, hash tlog.Hash) {
	if e.tiles[tile] == nil {
		e.tiles[tile] = make([]byte, 0, TileBytes)
	}
	e.tiles[tile] = append(e.tiles[tile], hash[:]...)
}

// Unfinished says which hashes an [Edge] of that size consists of: at each level the
// index of the first hash of the unfinished tile, and how many there are.
func Unfinished(size uint64, level int) (first uint64, count int) {
	n := size >> (tileHeight * level)
	return n &^ (TileWidth - 1), int(n & (TileWidth - 1))
}

// LoadEdge rebuilds the edge of a log from its unfinished tiles: tiles[0] are the last
// leaf hashes, tiles[1] the last roots of full level-0 tiles, and so on, as
// [Unfinished] counts them.
func LoadEdge(size uint64, tiles [TileLevels][]byte) (Edge, error) {
	e := Edge{size: size}
	for level := range tiles {
		_, count := Unfinished(size, level)
		if len(tiles[level]) != count*tlog.HashSize {
			return Edge{}, fmt.Errorf("loading edge of the log: level %d has %d bytes for %d hashes: %w",
				level, len(tiles[level]), count, privacy.ErrDamaged)
		}
		for i := range count {
			hash := tlog.Hash(tiles[level][i*tlog.HashSize:])
			e.push(level, hash)
			bit := 0
			for ; i>>bit&1 == 1; bit++ {
				hash = tlog.NodeHash(e.stack[level*tileHeight+bit], hash)
			}
			e.stack[level*tileHeight+bit] = hash
		}
	}
	return e, nil
}
