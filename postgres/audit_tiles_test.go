package postgres

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// TestLogTiles reads each tile of each signed size, as somebody would who mirrors the log,
// and recomputes from them what was signed.
func TestLogTiles(t *testing.T) {
	t.Parallel()
	db, _ := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	tiles := NewLogTiles(log)
	if _, err := tiles.Checkpoint(t.Context()); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("checkpoint of an empty log: %v, want ErrNotFound", err)
	}
	if _, err := tiles.Tile(t.Context(), audit.TileName{Width: 1}); !errors.Is(err, privacy.ErrNotFound) {
		t.Errorf("tile of an empty log: %v, want ErrNotFound", err)
	}
	sizes := []uint64{1, 2, 255, 256, 257, 511, 512, 700}
	if !testing.Short() {
		sizes = append(sizes, 256*256-1, 256*256, 256*256+300) // a full tile of level 1
	}
	for _, size := range sizes {
		appendUpTo(t, log, size)
		if err := log.SignCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), denied()); err != nil { // committed, and not signed
			t.Fatal(err)
		}
		checkTiles(t, log, tiles, size)
	}
}

// appendUpTo has the log grow to a size, by callers enough to fill batches.
func appendUpTo(t *testing.T, log *AuditLog, size uint64) {
	t.Helper()
	now, err := log.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		for ; now < size; now++ {
			left <- struct{}{}
		}
	}()
	var callers sync.WaitGroup
	for range min(256, size) {
		callers.Go(func() {
			for range left {
				if _, err := log.Append(t.Context(), denied()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
}

func checkTiles(t *testing.T, log *AuditLog, tiles *LogTiles, size uint64) {
	t.Helper()
	signed, err := tiles.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, err := audit.OpenCheckpoint(signed, log.verifier)
	if err != nil || checkpoint.Size != size {
		t.Fatalf("checkpoint of size %d, want %d: %v", checkpoint.Size, size, err)
	}
	read := func(name audit.TileName) []byte {
		t.Helper()
		data, err := tiles.Tile(t.Context(), name)
		if err != nil {
			t.Fatalf("size %d: %s: %v", size, name.Path(), err)
		}
		return data
	}
	var edge audit.Edge
	var full []audit.FullTile
	for n := uint64(0); n*audit.TileWidth < size; n++ {
		width := int(min(audit.TileWidth, size-n*audit.TileWidth))
		hashes := read(audit.TileName{N: n, Width: width})
		leaves, err := audit.SplitBundle(nil, read(audit.TileName{Entries: true, N: n, Width: width}), width)
		if err != nil || len(hashes) != width*tlog.HashSize {
			t.Fatalf("size %d: tile %d has %d bytes; its entries: %v", size, n, len(hashes), err)
		}
		for i, leaf := range leaves {
			hash := audit.LeafHash(leaf)
			if !bytes.Equal(hash[:], hashes[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
				t.Fatalf("size %d: entry %d is not under its hash", size, n*audit.TileWidth+uint64(i))
			}
			full = edge.Append(hash, full)
		}
		// Every narrower form of the last tile is the beginning of it.
		for w := 1; w < width && n == (size-1)/audit.TileWidth; w += 1 + width/5 {
			if part := read(audit.TileName{N: n, Width: w}); !bytes.Equal(part, hashes[:w*tlog.HashSize]) {
				t.Errorf("size %d: tile %d of width %d is another", size, n, w)
			}
			part, err := audit.SplitBundle(nil, read(audit.TileName{Entries: true, N: n, Width: w}), w)
			if err != nil || !bytes.Equal(part[w-1], leaves[w-1]) {
				t.Errorf("size %d: entries %d of width %d are others: %v", size, n, w, err)
			}
		}
	}
	if edge.Root() != checkpoint.Root {
		t.Errorf("size %d: the tiles of level 0 have another root", size)
	}
	for i := range full {
		if got := read(audit.TileName{Level: full[i].Level, N: full[i].N, Width: audit.TileWidth}); !bytes.Equal(got, full[i].Hashes) {
			t.Errorf("size %d: tile %d of level %d is another", size, full[i].N, full[i].Level)
		}
	}
	checkUpper(t, read, full, size)
	// Not one hash more than was signed.
	for level := range audit.TileLevels {
		first, count := audit.Unfinished(size, level)
		for _, name := range []audit.TileName{
			{Level: level, N: first / audit.TileWidth, Width: count + 1},
			{Level: level, N: first / audit.TileWidth, Width: audit.TileWidth},
			{Level: level, N: first/audit.TileWidth + 1, Width: 1},
			{Level: level, N: 1<<55 - 1, Width: 1},
			{Entries: true, N: size / audit.TileWidth, Width: int(size%audit.TileWidth) + 1},
		} {
			if data, err := tiles.Tile(t.Context(), name); !errors.Is(err, privacy.ErrNotFound) {
				t.Errorf("size %d: %s: %v and %d bytes, want ErrNotFound", size, name.Path(), err, len(data))
			}
		}
	}
}

// checkUpper compares the unfinished tiles above level 0 with the roots of the full ones.
func checkUpper(t *testing.T, read func(audit.TileName) []byte, full []audit.FullTile, size uint64) {
	t.Helper()
	roots := map[int][]byte{}
	for i := range full {
		roots[full[i].Level+1] = append(roots[full[i].Level+1], full[i].Root[:]...)
	}
	for level := 1; level < audit.TileLevels; level++ {
		first, count := audit.Unfinished(size, level)
		if count == 0 {
			continue
		}
		got := read(audit.TileName{Level: level, N: first / audit.TileWidth, Width: count})
		if want := roots[level][first*tlog.HashSize:]; !bytes.Equal(got, want) {
			t.Errorf("size %d: unfinished tile of level %d is another", size, level)
		}
	}
}

// TestLogTilesMissing: what was deleted behind the log's back is not passed over.
func TestLogTilesMissing(t *testing.T) {
	t.Parallel()
	db, database := newDB(t)
	log := newAuditLog(t, db, auditConfig())
	appendUpTo(t, log, audit.TileWidth+10)
	if err := log.SignCheckpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool := database.OwnerPool(t)
	for _, sql := range []string{
		`alter table audit.entry_p0 disable trigger all`,
		`alter table audit.tile0_p0 disable trigger all`,
		`delete from audit.entry where seq in (7, 258)`,
		`delete from audit.tile0`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	tiles := NewLogTiles(log)
	for _, name := range []audit.TileName{
		{Width: audit.TileWidth},
		{Width: 8},
		{N: 1, Width: 3},
		{Entries: true, Width: audit.TileWidth},
		{Entries: true, N: 1, Width: 10},
	} {
		if data, err := tiles.Tile(t.Context(), name); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: %v and %d bytes, want ErrDamaged", name.Path(), err, len(data))
		}
	}
	if _, err := tiles.Tile(t.Context(), audit.TileName{Entries: true, Width: 7}); err != nil {
		t.Errorf("entries before the first that is missing: %v", err)
	}
}
