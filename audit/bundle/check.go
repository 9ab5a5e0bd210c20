package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
)

// job is one tile of level 0 with its entries, to be checked by a worker.
type job struct {
	name audit.TileName
	// want is the root of the tile, and proved whether the root of the tree says so. Of an
	// unfinished tile, edge are the hashes.
	want   tlog.Hash
	proved bool
	edge   []byte
	// left is needed for roots only.
	left  *lefts
	roots []rootAt

	// What came of it. sure is false if the hashes of the entries are not known.
	sure    bool
	entries []audit.Entry
	noted   []noted
	damages []audit.Damage
	err     error
	done    chan struct{}
}

// noted is an entry of which a report tells.
type noted struct {
	index uint64
	entry audit.Entry
}

// rootAt is a size at which the root is to be computed: of a stored checkpoint, which has a
// path, or of one that was kept, which is open already.
type rootAt struct {
	size       uint64
	note       []byte
	path       string
	checkpoint audit.Checkpoint
	key        int // that signed it
	err        error
	fits       bool
}

func (j *job) found(index uint64, kind audit.DamageKind, path, format string, args ...any) {
	j.damages = append(j.damages, audit.Damage{Index: index, Kind: kind, Path: path, Detail: fmt.Sprintf(format, args...)})
}

// worker checks tiles. It keeps what it needs for one.
type worker struct {
	files  Files
	reader audit.EntryReader
	leaves [][]byte
	hashes []byte
	keep   bool // entries are wanted
	open   func(signed []byte) (audit.Checkpoint, int, error)
	// buffers hold the entries and the tile, and are used again if nobody keeps entries.
	buffers [2][]byte
}

// read reads a file, and reports whether its content is the worker's alone: until the next job,
// in one of its buffers.
func (w *worker) read(ctx context.Context, buffer int, path string, limit int) (content []byte, own bool, err error) {
	dir, isDir := w.files.(Dir)
	if w.keep || !isDir {
		content, err = w.files.Read(ctx, path, limit)
		return content, false, err
	}
	content, err = dir.readInto(w.buffers[buffer], path, limit)
	if content != nil {
		w.buffers[buffer] = content
	}
	return content, true, err
}

// check reads the files of a tile and compares them with each other and with what the tree says.
func (w *worker) check(ctx context.Context, j *job) {
	first := j.name.N * audit.TileWidth
	entriesPath := audit.EntriesPath(j.name.N, j.name.Width)
	content, own, err := w.read(ctx, 0, entriesPath, maxEntriesFile)
	missing := errors.Is(err, fs.ErrNotExist)
	if j.err = unreadable(err); j.err != nil {
		return
	}
	var cut bool
	w.leaves, w.hashes = w.leaves[:0], w.hashes[:0]
	if !missing && err == nil {
		w.leaves, err = audit.SplitBundle(w.leaves, content, j.name.Width)
		cut = err != nil
	}
	if own {
		w.hashes = audit.HashBundle(w.hashes, content, w.leaves)
	} else {
		for _, leaf := range w.leaves {
			hash := audit.LeafHash(leaf)
			w.hashes = append(w.hashes, hash[:]...)
		}
	}
	whole := !missing && err == nil
	fits := whole && w.fits(j, w.hashes)
	tile, err := w.readTile(ctx, j)
	if err != nil {
		j.err = err
		return
	}
	right := tile
	switch {
	case fits:
		right = w.hashes
		if tile != nil && j.edge == nil {
			compare(j.name, tile, w.hashes, func(d audit.Damage) { j.damages = append(j.damages, d) })
		}
	case missing:
		j.found(first, FileMissing, entriesPath, "")
	default:
		w.nameEntries(j, entriesPath, tile, cut, whole)
	}
	j.sure = fits || tile != nil && w.fits(j, tile)
	w.parse(j, entriesPath, right)
	for i := range j.roots {
		r := &j.roots[i]
		if r.note != nil {
			r.checkpoint, r.key, r.err = w.open(r.note)
		}
		r.fits = r.err == nil && rootOfSize(j.left, right, int(r.size-first)) == r.checkpoint.Root
	}
}

// fits reports whether hashes are those that the tree has at the place of the job.
func (w *worker) fits(j *job, hashes []byte) bool {
	if len(hashes) != j.name.Width*tlog.HashSize {
		return false
	}
	if j.edge != nil {
		return bytes.Equal(hashes, j.edge)
	}
	return rootOf(hashes) == j.want
}

// readTile reads the stored tile; nil if it is missing or has a wrong length, which it tells. Of
// an unfinished one the tree has told that already.
func (w *worker) readTile(ctx context.Context, j *job) ([]byte, error) {
	if j.edge != nil {
		return j.edge, nil
	}
	path := j.name.Path()
	tile, _, err := w.read(ctx, 1, path, audit.TileBytes)
	index := first(j.name, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		j.found(index, audit.TileMissing, path, "")
	case unreadable(err) != nil:
		return nil, err
	case err != nil, len(tile) > audit.TileBytes:
		j.found(index, FileLonger, path, "")
	case len(tile) < audit.TileBytes:
		j.found(index, FileCut, path, "")
	default:
		return tile, nil
	}
	return nil, nil
}

// nameEntries tells what is wrong with entries that do not fit the tree.
func (w *worker) nameEntries(j *job, path string, tile []byte, cut, whole bool) {
	index := first(j.name, 0)
	proved := tile != nil && w.fits(j, tile)
	if tile == nil || !proved && bytes.Equal(tile, w.hashes) {
		// Nothing says which entry it is: the tile is missing, or was made to fit.
		j.found(index, audit.EntriesRewritten, path, "within these %d", j.name.Width)
		return
	}
	same, different := 0, -1
	for i := range min(len(w.leaves), j.name.Width) {
		at := i * tlog.HashSize
		if bytes.Equal(tile[at:at+tlog.HashSize], w.hashes[at:at+tlog.HashSize]) {
			same++
		} else if different < 0 {
			different = i
		}
	}
	switch {
	case cut && same == len(w.leaves) && same < j.name.Width:
		j.found(index+uint64(same), FileCut, path, "entry %d of the file", same)
		return
	case cut && same == j.name.Width:
		j.found(index, FileLonger, path, "")
		return
	case same == 0 && len(w.leaves) > 1 && (whole || w.areEntries()):
		j.found(index, FileSwapped, path, "no entry is in its place")
		return
	case different < 0: // too long to be read
		j.found(index, FileLonger, path, "")
		return
	}
	for i := range len(w.leaves) {
		if i >= j.name.Width {
			break
		}
		at := i * tlog.HashSize
		if !bytes.Equal(tile[at:at+tlog.HashSize], w.hashes[at:at+tlog.HashSize]) {
			j.found(index+uint64(i), audit.EntryAltered, path, "entry %d of the file", i)
			if cut { // what follows was read at wrong places
				break
			}
		}
	}
	if !proved {
		j.found(index, audit.TileAltered, j.name.Path(), "")
	}
}

// areEntries reports whether the first two are entries, though they do not belong here.
func (w *worker) areEntries() bool {
	_, err := audit.CheckEntry(w.leaves[0])
	_, err2 := audit.CheckEntry(w.leaves[1])
	return err == nil && err2 == nil
}

// parse reads the entries. One that is not what was hashed has been told already.
func (w *worker) parse(j *job, path string, right []byte) {
	if w.keep {
		j.entries = make([]audit.Entry, 0, len(w.leaves))
	}
	for i, leaf := range w.leaves {
		var entry audit.Entry
		isNoted, err := false, error(nil)
		if w.keep {
			entry, err = w.reader.Read(leaf)
			isNoted = entry.Kind == audit.LogRestored || entry.Kind == audit.ClockSetBack
			j.entries = append(j.entries, entry)
		} else if isNoted, err = audit.CheckEntry(leaf); isNoted {
			entry, err = audit.ParseEntry(bytes.Clone(leaf))
		}
		at := i * tlog.HashSize
		if err != nil && at < len(right) && bytes.Equal(w.hashes[at:at+tlog.HashSize], right[at:at+tlog.HashSize]) {
			j.found(first(j.name, i), audit.EntryMalformed, path, "entry %d of the file", i)
		}
		if isNoted {
			j.noted = append(j.noted, noted{first(j.name, i), entry})
		}
	}
}

// rootOfSize is the root of a tree that ends within a tile: of its first hashes, behind what is
// left of it.
func rootOfSize(left *lefts, hashes []byte, n int) tlog.Hash {
	if n > len(hashes)/tlog.HashSize || n == 0 && left.n == 0 {
		return tlog.Hash{}
	}
	if n == 0 {
		return left.under(nil)
	}
	var stack [9]tlog.Hash
	for i := range n {
		hash, bit := tlog.Hash(hashes[i*tlog.HashSize:]), 0
		for ; i>>bit&1 == 1; bit++ {
			hash = tlog.NodeHash(stack[bit], hash)
		}
		stack[bit] = hash
	}
	var root tlog.Hash
	have := false
	for bit := range stack {
		switch {
		case n>>bit&1 == 0:
		case !have:
			root, have = stack[bit], true
		default:
			root = tlog.NodeHash(stack[bit], root)
		}
	}
	return left.under(&root)
}
