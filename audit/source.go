package audit

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"
)

// StoredEntry is an entry as it lies in the log.
type StoredEntry struct {
	Index    uint64
	Leaf     []byte
	LeafHash tlog.Hash
}

// StoredRoot is the root that was committed when the log had Size entries.
type StoredRoot struct {
	Size uint64
	Root tlog.Hash
}

// StoredTile is a full tile.
type StoredTile struct {
	N      uint64
	Hashes []byte
}

// StoredSubtree is the root of a full tile.
type StoredSubtree struct {
	N    uint64
	Root tlog.Hash
}

// StoredCheckpoint is a signed note and the size and root under which it is filed.
type StoredCheckpoint struct {
	Size uint64
	Root tlog.Hash
	Note []byte
}

// Source is a log as somebody holds it, opened for [Verify]. All methods must see one
// and the same state of it.
//
// Each method but Size and Begin returns a page of rows, in ascending order and beginning with
// the first that is not before the given position. The page may have any length; an
// empty one says that there are no more rows. It may be reused by the next call of the
// same method (and level).
type Source interface {
	// Size is the size that the log claims to have: that of its last commit.
	Size(ctx context.Context) (uint64, error)
	// Begin is the index of the first entry that is still there: zero, or a multiple of
	// [PartitionSize] below which all was archived and dropped. Of what lies below it there
	// are the tiles of level 1 and up, all subtrees, and those tiles of level 0 within which
	// a checkpoint ends.
	Begin(ctx context.Context) (uint64, error)
	Entries(ctx context.Context, from uint64) ([]StoredEntry, error)
	Roots(ctx context.Context, fromSize uint64) ([]StoredRoot, error)
	Tiles(ctx context.Context, level int, from uint64) ([]StoredTile, error)
	Subtrees(ctx context.Context, level int, from uint64) ([]StoredSubtree, error)
	Checkpoints(ctx context.Context, fromSize uint64) ([]StoredCheckpoint, error)
}

// stream walks over the pages of one kind of row.
type stream[T any] struct {
	load func(from uint64) ([]T, error)
	key  func(*T) uint64
	page []T
	from uint64
	end  bool
}

// peek returns the next row, or nil at the end.
func (s *stream[T]) peek() (*T, error) {
	if len(s.page) == 0 && !s.end {
		page, err := s.load(s.from)
		if err != nil {
			return nil, err
		}
		s.page, s.end = page, len(page) == 0
	}
	if s.end {
		return nil, nil
	}
	return &s.page[0], nil
}

// pop passes over the row that peek has returned.
func (s *stream[T]) pop() {
	s.from = max(s.from, s.key(&s.page[0])+1)
	s.page = s.page[1:]
}
