package bundle

import (
	"encoding/hex"
	"iter"
	"strings"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Where things lie in a bundle. Tiles are where [audit.TileName] says.
const (
	CheckpointPath = "checkpoint"
	ManifestPath   = "manifest"
	KeyPath        = "keys/log.vkey"
	ManifestKey    = "keys/manifest.vkey"
	WitnessesPath  = "witnesses.policy"
	PagePath       = "verify.html"

	// unfinishedPath is there while an export is being written, and holds the checkpoint
	// up to which it goes.
	unfinishedPath = "unfinished"

	checkpointsDir = "checkpoints/"
	policiesDir    = "policies/"
	factsDir       = "facts/"
)

// packed is how many checkpoints a file of them has; the last may have fewer.
const packed = 256

// PackPath is where checkpoints 256 n to 256 n + 255 lie, counted from the oldest in the bundle.
func PackPath(n uint64) string {
	return checkpointsDir + strings.TrimPrefix(audit.EntriesPath(n, audit.TileWidth), "tile/entries/")
}

// PolicyPath is where the policy bundle with a digest lies.
func PolicyPath(policy audit.Digest) string {
	return policiesDir + hex.EncodeToString(policy[:]) + ".tar.gz"
}

// Pair is a policy and the facts that it decided on, as entries name them.
type Pair struct{ Policy, Facts audit.Digest }

// FactsPath is where the facts of a pair lie: in canonical form, and behind a line feed the
// canonical plan, if there was one.
func FactsPath(pair Pair) string {
	return factsDir + hex.EncodeToString(pair.Policy[:]) + "/" + hex.EncodeToString(pair.Facts[:])
}

// Range is which part of the log a bundle holds: entries Begin to End - 1, under a checkpoint
// of Size. Tiles above level 0 are there from the first entry to Size, because they are small
// and what remains of a log is proved by them. Begin is a multiple of 256, and so is End
// unless it is Size.
type Range struct{ Begin, End, Size uint64 }

// maxSize is more than the tiles that have paths can hold.
const maxSize = 1 << 55

func (r Range) valid() bool {
	return r.Begin < r.End && r.End <= r.Size && r.Size < maxSize && r.Begin%audit.TileWidth == 0 && (r.End == r.Size || r.End%audit.TileWidth == 0)
}

// has reports whether a file of the tree belongs to the range.
func (r Range) has(t audit.TileName) bool {
	height := 8 * t.Level
	hashes := r.Size >> height
	if t.Width < audit.TileWidth {
		if t.N != hashes/audit.TileWidth || uint64(t.Width) != hashes%audit.TileWidth {
			return false
		}
		return !t.Entries || r.End == r.Size
	}
	switch {
	case t.N >= hashes/audit.TileWidth:
		return false
	case t.Entries, t.Level == 0:
		return t.N >= r.Begin/audit.TileWidth && t.N < r.End/audit.TileWidth
	}
	return true
}

// isPart reports whether entries of the tree are not there.
func (r Range) isPart() bool { return r.Begin > 0 || r.End < r.Size }

// isUnder reports whether a tile of a part of a log cannot be made of what lies below it, so
// that the manifest has its digest.
func (r Range) isUnder(t audit.TileName) bool {
	return r.isPart() && !t.Entries && (t.Level > 0 || t.N >= r.End/audit.TileWidth) && r.has(t)
}

// tree yields the files of the tree that belong to the range.
func (r Range) tree() iter.Seq[audit.TileName] {
	return func(yield func(audit.TileName) bool) {
		for level := range audit.TileLevels {
			hashes := r.Size >> (8 * level)
			first, end := uint64(0), hashes/audit.TileWidth
			if level == 0 {
				first, end = r.Begin/audit.TileWidth, r.End/audit.TileWidth
			}
			for n := first; n < end; n++ {
				if level == 0 && !yield(audit.TileName{Entries: true, N: n, Width: audit.TileWidth}) {
					return
				}
				if !yield(audit.TileName{Level: level, N: n, Width: audit.TileWidth}) {
					return
				}
			}
			width := int(hashes % audit.TileWidth)
			if width == 0 {
				continue
			}
			last := audit.TileName{Level: level, N: hashes / audit.TileWidth, Width: width}
			if !yield(last) {
				return
			}
			if last.Entries = true; level == 0 && r.End == r.Size && !yield(last) {
				return
			}
		}
	}
}

// ParseFactsPath reads what [FactsPath] writes. The error wraps [privacy.ErrInvalid].
func ParseFactsPath(path string) (Pair, error) {
	var pair Pair
	policy, facts, _ := strings.Cut(strings.TrimPrefix(path, factsDir), "/")
	if len(policy) == 64 && len(facts) == 64 {
		p, err := hex.DecodeString(policy)
		f, err2 := hex.DecodeString(facts)
		if err == nil && err2 == nil {
			pair = Pair{audit.Digest(p), audit.Digest(f)}
		}
	}
	if pair == (Pair{}) || FactsPath(pair) != path {
		return Pair{}, privacy.ErrInvalid
	}
	return pair, nil
}

// TreeFiles is how many files of the tree belong to the range and are not named in a manifest.
func (r Range) TreeFiles() int {
	n := 0
	for tile := range r.tree() {
		if !r.isUnder(tile) {
			n++
		}
	}
	return n
}
