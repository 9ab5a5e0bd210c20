package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// tree hands out the hashes of a tree from the top down, each proved by the root: a tile is
// what its parent says, and the unfinished tiles at the right edge are what the root says.
// It is not safe for concurrent use.
type tree struct {
	files Files
	Range
	root  tlog.Hash
	found func(audit.Damage)
	// edge are the unfinished tiles of each level.
	edge [audit.TileLevels][]byte
	// proved is false if the edge does not come to the root: then nothing is.
	proved bool
	// full is the full tile of each level that was used last.
	full [audit.TileLevels]struct {
		n      uint64
		hashes []byte
		proved bool
	}
}

// openTree reads the right edge. Errors say that files could not be read; files that are
// missing or wrong are told to found.
func openTree(ctx context.Context, files Files, r Range, root tlog.Hash, found func(audit.Damage)) (*tree, error) {
	t := &tree{files: files, Range: r, root: root, found: found}
	var computed [audit.TileLevels][]byte
	for level := range audit.TileLevels {
		hashes := r.Size >> (8 * level)
		name := audit.TileName{Level: level, N: hashes / audit.TileWidth, Width: int(hashes % audit.TileWidth)}
		if name.Width == 0 {
			continue
		}
		stored, err := t.read(ctx, name)
		if err != nil {
			return nil, err
		}
		t.edge[level] = stored
		if stored == nil { // missing: its place at least is filled
			if t.edge[level], err = t.compute(ctx, name); err != nil {
				return nil, err
			}
		}
		computed[level] = t.edge[level]
	}
	if t.proved = t.comesTo(&t.edge); t.proved {
		return t, nil
	}
	// Some unfinished tile is not what it was. What lies below it tells which.
	for level := range audit.TileLevels {
		hashes := r.Size >> (8 * level)
		name := audit.TileName{Level: level, N: hashes / audit.TileWidth, Width: int(hashes % audit.TileWidth)}
		if name.Width == 0 {
			continue
		}
		below, err := t.compute(ctx, name)
		if err != nil {
			return nil, err
		}
		computed[level] = below
	}
	stored := t.edge
	t.proved = reconcile(t.edge[:], computed[:], func([][]byte) bool { return t.comesTo(&t.edge) })
	if !t.proved {
		t.edge = stored
		return t, nil
	}
	for level := range audit.TileLevels {
		hashes := r.Size >> (8 * level)
		name := audit.TileName{Level: level, N: hashes / audit.TileWidth, Width: int(hashes % audit.TileWidth)}
		compare(name, stored[level], t.edge[level], t.found)
	}
	return t, nil
}

// comesTo reports whether unfinished tiles come to the root.
func (t *tree) comesTo(edge *[audit.TileLevels][]byte) bool {
	e, err := audit.LoadEdge(t.Size, *edge)
	return err == nil && e.Root() == t.root
}

// first is the index of the first entry below hash i of a tile.
func first(name audit.TileName, i int) uint64 {
	return (name.N*audit.TileWidth + uint64(i)) << (8 * name.Level)
}

// compare tells of each hash of a tile that is not what it must be, or that none is.
func compare(name audit.TileName, stored, right []byte, found func(audit.Damage)) {
	if bytes.Equal(stored, right) {
		return
	}
	var wrong []int
	for i := range len(stored) / tlog.HashSize {
		if at := i * tlog.HashSize; string(stored[at:at+tlog.HashSize]) != string(right[at:at+tlog.HashSize]) {
			wrong = append(wrong, i)
		}
	}
	if len(wrong) > 1 && len(wrong) == name.Width {
		found(audit.Damage{Index: first(name, 0), Kind: FileSwapped, Path: name.Path(), Detail: "no hash is in its place"})
		return
	}
	for _, i := range wrong {
		found(audit.Damage{Index: first(name, i), Kind: audit.TileAltered, Path: name.Path(), Detail: fmt.Sprintf("hash %d", i)})
	}
}

// read returns a stored tile, or nil after telling that it is missing or has a wrong length.
func (t *tree) read(ctx context.Context, name audit.TileName) ([]byte, error) {
	content, err := t.files.Read(ctx, name.Path(), audit.TileBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.found(audit.Damage{Index: first(name, 0), Kind: audit.TileMissing, Path: name.Path()})
		return nil, nil
	case err != nil && !errors.Is(err, privacy.ErrDamaged):
		return nil, err
	case err != nil, len(content) != name.Width*tlog.HashSize:
		kind := FileCut
		if err != nil || len(content) > name.Width*tlog.HashSize {
			kind = FileLonger
		}
		t.found(audit.Damage{Index: first(name, 0), Kind: kind, Path: name.Path()})
		return nil, nil
	}
	return content, nil
}

// compute makes a tile of what lies below it: entries, or the tiles of the level below. A
// place below which something is missing is zero.
func (t *tree) compute(ctx context.Context, name audit.TileName) ([]byte, error) {
	hashes := make([]byte, name.Width*tlog.HashSize)
	if name.Level == 0 {
		content, err := t.files.Read(ctx, audit.EntriesPath(name.N, name.Width), maxEntriesFile)
		if err != nil {
			return hashes, unreadable(err)
		}
		leaves, _ := audit.SplitBundle(nil, content, name.Width)
		for i, leaf := range leaves {
			hash := audit.LeafHash(leaf)
			copy(hashes[i*tlog.HashSize:], hash[:])
		}
		return hashes, nil
	}
	for i := range name.Width {
		below := audit.TileName{Level: name.Level - 1, N: name.N*audit.TileWidth + uint64(i), Width: audit.TileWidth}
		content, err := t.files.Read(ctx, below.Path(), audit.TileBytes)
		if err != nil || len(content) != audit.TileBytes {
			if err := unreadable(err); err != nil {
				return nil, err
			}
			continue
		}
		root := rootOf(content)
		copy(hashes[i*tlog.HashSize:], root[:])
	}
	return hashes, nil
}

// unreadable returns the errors that say nothing about the bundle.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, privacy.ErrDamaged) {
		return nil
	}
	return err
}

// maxDoubts is how many hashes are tried one by one: two to their number ways.
const maxDoubts = 12

// reconcile finds which of two versions of each part is right, so that fits holds, and leaves
// it in a. First as they are, then each part as a whole, then hash by hash where they differ.
func reconcile(a, b [][]byte, fits func([][]byte) bool) bool {
	if fits(a) {
		return true
	}
	was := make([][]byte, len(a))
	copy(was, a)
	var parts []int
	type place struct{ part, at int }
	var places []place
	for i := range a {
		if string(a[i]) == string(b[i]) {
			continue
		}
		parts = append(parts, i)
		for at := 0; at < len(a[i]); at += tlog.HashSize {
			if string(a[i][at:at+tlog.HashSize]) != string(b[i][at:at+tlog.HashSize]) {
				places = append(places, place{i, at})
			}
		}
	}
	for choice := range 1 << len(parts) {
		for bit, i := range parts {
			if a[i] = was[i]; choice>>bit&1 == 1 {
				a[i] = b[i]
			}
		}
		if fits(a) {
			return true
		}
	}
	if len(places) <= maxDoubts {
		for choice := range 1 << len(places) {
			for _, i := range parts {
				a[i] = append([]byte(nil), was[i]...)
			}
			for bit, p := range places {
				if choice>>bit&1 == 1 {
					copy(a[p.part][p.at:p.at+tlog.HashSize], b[p.part][p.at:])
				}
			}
			if fits(a) {
				return true
			}
		}
	}
	copy(a, was)
	return false
}

// tile returns the hashes of a full tile above level 0 or of the edge, and whether the root
// proves them.
func (t *tree) tile(ctx context.Context, level int, n uint64) ([]byte, bool, error) {
	if n == t.Size>>(8*level)/audit.TileWidth {
		return t.edge[level], t.proved, nil
	}
	last := &t.full[level]
	if last.hashes != nil && last.n == n {
		return last.hashes, last.proved, nil
	}
	want, proved, err := t.hash(ctx, level+1, n)
	if err != nil {
		return nil, false, err
	}
	name := audit.TileName{Level: level, N: n, Width: audit.TileWidth}
	stored, err := t.read(ctx, name)
	if err != nil {
		return nil, false, err
	}
	hashes := stored
	if stored == nil || rootOf(stored) != want {
		below, err := t.compute(ctx, name)
		if err != nil {
			return nil, false, err
		}
		if hashes == nil {
			hashes = below
		}
		pair := [][]byte{hashes}
		fits := reconcile(pair, [][]byte{below}, func(a [][]byte) bool { return rootOf(a[0]) == want })
		if stored != nil && fits && proved {
			compare(name, stored, pair[0], t.found)
		} else if stored != nil && proved {
			t.found(audit.Damage{Index: first(name, 0), Kind: audit.TileAltered, Path: name.Path()})
		}
		hashes, proved = pair[0], proved && fits
	}
	last.n, last.hashes, last.proved = n, hashes, proved
	return hashes, proved, nil
}

// hash returns the root of tile n of the level below, and whether the root of the tree proves it.
func (t *tree) hash(ctx context.Context, level int, n uint64) (tlog.Hash, bool, error) {
	if level == audit.TileLevels {
		return tlog.Hash{}, false, fmt.Errorf("a tree of more levels than there are: %w", privacy.ErrDamaged)
	}
	hashes, proved, err := t.tile(ctx, level, n/audit.TileWidth)
	if err != nil {
		return tlog.Hash{}, false, err
	}
	return tlog.Hash(hashes[n%audit.TileWidth*tlog.HashSize:]), proved, nil
}

// rootOf is the hash over a full tile.
func rootOf(hashes []byte) tlog.Hash {
	var level [audit.TileBytes]byte
	var node [1 + 2*tlog.HashSize]byte
	node[0] = 1 // RFC 6962 section 2.1
	for n := copy(level[:], hashes); n > tlog.HashSize; n /= 2 {
		for at := 0; at < n; at += 2 * tlog.HashSize {
			copy(node[1:], level[at:])
			hash := sha256.Sum256(node[:])
			copy(level[at/2:], hash[:])
		}
	}
	return tlog.Hash(level[:])
}

// lefts are the roots of the complete subtrees left of a tile of level 0, one for each bit of
// its number.
type lefts struct {
	n     uint64
	stack [48]tlog.Hash
}

// push adds the root of the next tile.
func (l *lefts) push(hash tlog.Hash) {
	bit := 0
	for ; l.n>>bit&1 == 1; bit++ {
		hash = tlog.NodeHash(l.stack[bit], hash)
	}
	l.stack[bit] = hash
	l.n++
}

// under adds them to the root of what follows, and so makes the root of the tree. Without
// anything that follows, hash is nil.
func (l *lefts) under(hash *tlog.Hash) tlog.Hash {
	var root tlog.Hash
	rest, have := l.n, hash != nil
	if have {
		root = *hash
	}
	for ; rest != 0; rest &= rest - 1 {
		left := l.stack[bits.TrailingZeros64(rest)]
		if !have {
			root, have = left, true
			continue
		}
		root = tlog.NodeHash(left, root)
	}
	return root
}

// leftOf makes the lefts of a tile from the tiles above.
func (t *tree) leftOf(ctx context.Context, n uint64) (lefts, error) {
	l := lefts{n: n}
	for level := 1; level < audit.TileLevels; level++ {
		start, count := audit.Unfinished(n*audit.TileWidth, level)
		if count == 0 {
			continue
		}
		hashes, _, err := t.tile(ctx, level, start/audit.TileWidth)
		if err != nil {
			return lefts{}, err
		}
		for i := range count {
			hash, bit := tlog.Hash(hashes[i*tlog.HashSize:]), 0
			for ; i>>bit&1 == 1; bit++ {
				hash = tlog.NodeHash(l.stack[8*(level-1)+bit], hash)
			}
			l.stack[8*(level-1)+bit] = hash
		}
	}
	return l, nil
}
