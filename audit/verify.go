package audit

import (
	"bytes"
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// VerifyConfig says what [Verify] checks against.
type VerifyConfig struct {
	// Verifier is the log's key, from [NewVerifier]. Required.
	Verifier note.Verifier
	// Former are keys that signed before Verifier did. From the first checkpoint by that on,
	// theirs are refused.
	Former []note.Verifier
	// Kept are checkpoints that were kept outside the database, opened with Verifier. The
	// log must begin with each of them.
	Kept []Checkpoint
	// Progress is told from time to time how many entries are done; it may be nil.
	Progress func(done, total uint64)
}

// Verify recomputes the log from its leaf bytes and compares everything that is stored
// with it: indexes, leaf hashes, tiles, subtree hashes, the root of every commit, the
// signature and root of every checkpoint; and it parses every entry. It reads the
// source once, in order, in flat memory.
//
// Of a log whose oldest entries were archived and dropped it checks that what was kept of
// them leads to the signed checkpoints, and each entry from [Report.Begin] on. A kept
// checkpoint that ends among the dropped entries and that the log itself does not have is
// an error that wraps [ErrArchived].
//
// The report tells what is wrong, beginning with the first bad index. An error says that
// the check could not be made, and nothing about the log.
//
// Somebody who can write all tables can make a log that is whole and false behind the
// last checkpoint that they leave in place, and so from the beginning if they remove them
// all: [Report.Signed] then says less than it did. Whoever also holds the log's key can sign it
// again. What gives both away are checkpoints kept elsewhere: [VerifyConfig.Kept].
func Verify(ctx context.Context, source Source, config VerifyConfig) (Report, error) {
	if config.Verifier == nil {
		return Report{}, fmt.Errorf("verifying log without its public key: %w", privacy.ErrInvalid)
	}
	size, err := source.Size(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("verifying log: %w", err)
	}
	begin, err := source.Begin(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("verifying log: %w", err)
	}
	if err := CheckBegin(begin, size); err != nil {
		return Report{}, fmt.Errorf("verifying log: %w", err)
	}
	v := newVerification(ctx, source, config, begin, size)
	if err := v.run(); err != nil {
		return Report{}, fmt.Errorf("verifying log: %w", err)
	}
	if begin > 0 && !v.saysArchived && v.edge.Size() == size {
		v.found(0, EntryMissing, "%d in a row, and no entry says that they were archived", begin)
	}
	if len(v.archived) > 0 && v.report.Whole() {
		return Report{}, fmt.Errorf("comparing log with a kept checkpoint of size %d, for which the archive is needed: %w", v.archived[0], ErrArchived)
	}
	for _, kept := range config.Kept {
		if kept.Size > size {
			v.found(size, EntriesCut, "a checkpoint of size %d was kept", kept.Size)
		}
	}
	v.report.Size, v.report.Root = v.edge.Size(), v.edge.Root()
	v.report.sort()
	return v.report, nil
}

// maxGap is how many missing entries in a row are passed over. With more missing the
// rest is not looked at: the first bad index is known.
const maxGap = 1 << 20

// verification is the state of one [Verify].
type verification struct {
	config VerifyConfig
	begin  uint64 // of the first entry that is still there
	size   uint64
	edge   Edge
	report Report
	words  map[string]string // seen in entries so far

	entries     stream[StoredEntry]
	roots       stream[StoredRoot]
	checkpoints stream[StoredCheckpoint]
	tiles       [TileLevels]stream[StoredTile]
	subtrees    [TileLevels]stream[StoredSubtree]

	// wrong lists the indexes whose recomputed hash is in doubt, ascending: whatever
	// covers one of them cannot be expected to fit and is not reported again.
	wrong []uint64
	// suspects are entries that differ from their tile, until the next root tells
	// whether the entry or the tile was changed.
	suspects []uint64
	// mismatch is the first commit whose root did not fit, until a later root tells
	// whether it was the root or an entry that was changed.
	mismatch *StoredRoot
	goodSize uint64 // of the last root that fitted
	coSize   uint64 // of the last checkpoint
	took     bool   // a checkpoint by the key that signs now was seen
	full     []FullTile

	broken bool // what was kept of dropped entries does not suffice to go on
	// saysArchived: some entry says that entries were archived. That is written before they are
	// dropped, so it is never dropped with them.
	saysArchived bool

	archived []uint64 // sizes of kept checkpoints that need the archive
}

func newVerification(ctx context.Context, source Source, config VerifyConfig, begin, size uint64) *verification {
	v := &verification{config: config, begin: begin, size: size, report: Report{Begin: begin}, words: map[string]string{}}
	v.entries = stream[StoredEntry]{
		load: func(from uint64) ([]StoredEntry, error) {
			if config.Progress != nil {
				config.Progress(min(v.edge.Size(), size), size)
			}
			return source.Entries(ctx, from)
		},
		key: func(e *StoredEntry) uint64 { return e.Index },
	}
	v.roots = stream[StoredRoot]{
		load: func(from uint64) ([]StoredRoot, error) { return source.Roots(ctx, from) },
		key:  func(r *StoredRoot) uint64 { return r.Size },
		from: 1,
	}
	v.checkpoints = stream[StoredCheckpoint]{
		load: func(from uint64) ([]StoredCheckpoint, error) { return source.Checkpoints(ctx, from) },
		key:  func(c *StoredCheckpoint) uint64 { return c.Size },
		from: 1,
	}
	for level := range TileLevels {
		v.tiles[level] = stream[StoredTile]{
			load: func(from uint64) ([]StoredTile, error) { return source.Tiles(ctx, level, from) },
			key:  func(t *StoredTile) uint64 { return t.N },
		}
		v.subtrees[level] = stream[StoredSubtree]{
			load: func(from uint64) ([]StoredSubtree, error) { return source.Subtrees(ctx, level, from) },
			key:  func(s *StoredSubtree) uint64 { return s.N },
		}
	}
	return v
}

func (v *verification) run() error {
	if err := v.runKept(); err != nil || v.broken {
		return err
	}
	for v.edge.Size() < v.size {
		e, err := v.entries.peek()
		if err != nil {
			return err
		}
		switch next := v.edge.Size(); {
		case e == nil || e.Index >= v.size:
			v.found(next, EntriesCut, "%d entries were committed", v.size)
			v.settle()
			return v.extra()
		case e.Index < next:
			v.found(e.Index, EntryRepeated, "")
			v.entries.pop()
		case e.Index-next > maxGap:
			v.found(next, EntryMissing, "%d in a row; the rest was not checked", e.Index-next)
			v.settle()
			return nil
		case e.Index > next:
			v.found(next, EntryMissing, "%d in a row", e.Index-next)
			for v.edge.Size() < e.Index {
				v.wrong = append(v.wrong, v.edge.Size())
				if err := v.add(tlog.Hash{}); err != nil {
					return err
				}
			}
		default:
			if err := v.add(v.check(e)); err != nil {
				return err
			}
			v.entries.pop()
		}
	}
	v.settle()
	if v.config.Progress != nil {
		v.config.Progress(v.size, v.size)
	}
	return v.extra()
}

// found notes a damage.
func (v *verification) found(index uint64, kind DamageKind, format string, args ...any) {
	// Ten times what is shown, because they are not found in the order of indexes.
	if len(v.report.Damages) >= 10*maxDamages {
		v.report.MoreDamages++
		return
	}
	v.report.Damages = append(v.report.Damages, Damage{Index: index, Kind: kind, Detail: fmt.Sprintf(format, args...)})
}

// check looks at one entry and returns its recomputed leaf hash.
func (v *verification) check(e *StoredEntry) tlog.Hash {
	hash := tlog.Hash(LeafHash(e.Leaf))
	if hash != e.LeafHash {
		v.found(e.Index, EntryAltered, "")
		v.wrong = append(v.wrong, e.Index)
		return hash
	}
	entry, err := parseEntry(e.Leaf, v.words)
	switch {
	case err != nil:
		v.found(e.Index, EntryMalformed, "")
	case entry.Kind == ClockSetBack:
		v.report.ClockSetBack++
	case entry.Kind == LogArchived:
		v.saysArchived = true
	case entry.Kind == LogRestored && len(v.report.Restored) < maxDamages:
		v.report.Restored = append(v.report.Restored, Restored{Index: e.Index, Time: entry.Time, Lost: entry.List})
	}
	return hash
}

// add puts the next leaf hash into the tree and compares what became complete by it.
func (v *verification) add(hash tlog.Hash) error {
	v.full = v.edge.Append(hash, v.full[:0])
	for i := range v.full {
		if err := v.compareFull(&v.full[i]); err != nil {
			return err
		}
	}
	return v.compareHead()
}

// compareFull compares a tile that has become complete, and its root.
func (v *verification) compareFull(t *FullTile) error {
	if err := v.compareTile(t); err != nil {
		return err
	}
	return v.compareSubtree(t)
}

// compareHead compares what was committed, signed and kept when the log ended here.
func (v *verification) compareHead() error {
	if err := v.compareRoot(); err != nil {
		return err
	}
	v.compareKept()
	return v.compareCheckpoint()
}

// compareKept compares the checkpoints of this size that were kept elsewhere. Whoever
// rewrote a log made everything in it fit, so all that is known of the place is that it
// lies behind the last checkpoint that verified.
func (v *verification) compareKept() {
	for _, kept := range v.config.Kept {
		switch {
		case kept.Size != v.edge.Size():
		case kept.Root == v.edge.Root():
			if kept.Size > v.report.Kept.Size {
				v.report.Kept = kept
			}
		case len(v.wrong) == 0 && v.mismatch == nil: // otherwise the place is known better
			v.found(v.report.Signed.Size, KeptForked, "size %d", kept.Size)
		}
	}
}

// isWrongWithin reports whether a hash in doubt is below [first, end).
func (v *verification) isWrongWithin(first, end uint64) bool {
	for i := len(v.wrong) - 1; i >= 0 && v.wrong[i] >= first; i-- {
		if v.wrong[i] < end {
			return true
		}
	}
	return false
}

func (v *verification) compareTile(t *FullTile) error {
	tiles := &v.tiles[t.Level]
	stored, err := tiles.peek()
	if err != nil {
		return err
	}
	if stored == nil || stored.N != t.N {
		v.found(t.First(), TileMissing, "level %d, tile %d", t.Level, t.N)
		return nil
	}
	defer tiles.pop()
	v.report.Tiles++
	if bytes.Equal(stored.Hashes, t.Hashes) {
		return nil
	}
	if len(stored.Hashes) != TileBytes {
		v.found(t.First(), TileAltered, "level %d, tile %d has %d bytes", t.Level, t.N, len(stored.Hashes))
		return nil
	}
	span := uint64(1) << (tileHeight * t.Level)
	for i := range TileWidth {
		at := i * tlog.HashSize
		if bytes.Equal(stored.Hashes[at:at+tlog.HashSize], t.Hashes[at:at+tlog.HashSize]) {
			continue
		}
		first := t.First() + uint64(i)*span
		switch {
		case v.isWrongWithin(first, first+span):
		case t.Level == 0:
			v.suspects = append(v.suspects, first)
		case !v.isSuspectWithin(first, first+span):
			v.found(first, TileAltered, "level %d, tile %d, hash %d", t.Level, t.N, i)
		}
	}
	return nil
}

func (v *verification) isSuspectWithin(first, end uint64) bool {
	for _, s := range v.suspects {
		if first <= s && s < end {
			return true
		}
	}
	return v.mismatch != nil
}

func (v *verification) compareSubtree(t *FullTile) error {
	subtrees := &v.subtrees[t.Level]
	stored, err := subtrees.peek()
	if err != nil {
		return err
	}
	if stored == nil || stored.N != t.N {
		v.found(t.First(), SubtreeMissing, "level %d, subtree %d", t.Level, t.N)
		return nil
	}
	defer subtrees.pop()
	end := t.First() + 1<<(tileHeight*(t.Level+1))
	if stored.Root != t.Root && !v.isWrongWithin(t.First(), end) && !v.isSuspectWithin(t.First(), end) {
		v.found(t.First(), SubtreeAltered, "level %d, subtree %d", t.Level, t.N)
	}
	return nil
}

// compareRoot compares the root of the commit that ends here, if one does.
func (v *verification) compareRoot() error {
	stored, err := v.roots.peek()
	if err != nil || stored == nil || stored.Size > v.edge.Size() {
		return err
	}
	defer v.roots.pop()
	v.report.Roots++
	size := v.edge.Size()
	switch fits := stored.Root == v.edge.Root(); {
	case fits:
		v.settleFitting()
		v.goodSize = size
	case len(v.wrong) == 0 && v.mismatch == nil:
		v.mismatch = &StoredRoot{Size: size, Root: stored.Root}
	}
	return nil
}

// settleFitting draws the conclusions from a root that fits: all entries so far are as
// they were committed, so what did not fit them was itself changed.
func (v *verification) settleFitting() {
	for _, index := range v.suspects {
		v.found(index, TileAltered, "level 0, tile %d, hash %d", index/TileWidth, index%TileWidth)
	}
	v.suspects = v.suspects[:0]
	if v.mismatch != nil {
		v.found(v.goodSize, RootAltered, "commit of size %d", v.mismatch.Size)
		v.mismatch = nil
	}
	v.wrong = v.wrong[:0]
}

// settle draws the conclusions at the end, when no root has fitted since.
func (v *verification) settle() {
	for _, index := range v.suspects {
		v.found(index, EntryRewritten, "")
	}
	if v.mismatch != nil && len(v.suspects) == 0 {
		v.found(v.goodSize, EntriesRewritten, "between %d and %d", v.goodSize, v.mismatch.Size-1)
	}
	v.suspects, v.mismatch = nil, nil
}

// extra looks for what lies behind the end of the log.
func (v *verification) extra() error {
	if e, err := v.entries.peek(); err != nil {
		return err
	} else if e != nil && e.Index >= v.size {
		v.found(e.Index, EntryExtra, "")
	}
	for level := range TileLevels {
		if t, err := v.tiles[level].peek(); err != nil {
			return err
		} else if t != nil && v.edge.Size() == v.size {
			full := FullTile{Level: level, N: t.N}
			v.found(full.First(), TileExtra, "level %d, tile %d", level, t.N)
		}
		if s, err := v.subtrees[level].peek(); err != nil {
			return err
		} else if s != nil && v.edge.Size() == v.size {
			full := FullTile{Level: level, N: s.N}
			v.found(full.First(), SubtreeExtra, "level %d, subtree %d", level, s.N)
		}
	}
	c, err := v.checkpoints.peek()
	if err != nil || c == nil || c.Size <= v.edge.Size() {
		return err
	}
	if _, ok := v.openCheckpoint(c, v.coSize); ok && v.edge.Size() == v.size {
		v.found(v.size, EntriesCut, "a checkpoint of size %d was signed", c.Size)
	}
	return nil
}
