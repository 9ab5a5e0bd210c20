package audit

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/privacy"
)

// memorySource is a log in memory, which a test may change as it likes.
type memorySource struct {
	begin, size uint64
	entries     []StoredEntry
	roots       []StoredRoot
	checkpoints []StoredCheckpoint
	tiles       [TileLevels][]StoredTile
	subtrees    [TileLevels][]StoredSubtree
}

var _ Source = (*memorySource)(nil)

func page[T any](rows []T, from uint64, key func(*T) uint64) ([]T, error) {
	at, _ := slices.BinarySearchFunc(rows, from, func(row T, from uint64) int { return cmp.Compare(key(&row), from) })
	return slices.Clone(rows[at:min(len(rows), at+1000)]), nil
}

func (m *memorySource) Size(context.Context) (uint64, error)  { return m.size, nil }
func (m *memorySource) Begin(context.Context) (uint64, error) { return m.begin, nil }
func (m *memorySource) Entries(_ context.Context, from uint64) ([]StoredEntry, error) {
	return page(m.entries, from, func(e *StoredEntry) uint64 { return e.Index })
}

func (m *memorySource) Roots(_ context.Context, from uint64) ([]StoredRoot, error) {
	return page(m.roots, from, func(r *StoredRoot) uint64 { return r.Size })
}

func (m *memorySource) Tiles(_ context.Context, level int, from uint64) ([]StoredTile, error) {
	return page(m.tiles[level], from, func(t *StoredTile) uint64 { return t.N })
}

func (m *memorySource) Subtrees(_ context.Context, level int, from uint64) ([]StoredSubtree, error) {
	return page(m.subtrees[level], from, func(s *StoredSubtree) uint64 { return s.N })
}

func (m *memorySource) Checkpoints(_ context.Context, from uint64) ([]StoredCheckpoint, error) {
	return page(m.checkpoints, from, func(c *StoredCheckpoint) uint64 { return c.Size })
}

// prunedLog is a log of which the first partition was dropped: with the given commits, those
// of them that are signed, and 700 entries that are still there.
func prunedLog(t testing.TB, config VerifyConfig, sign func(Checkpoint) []byte, signed, committed []uint64) *memorySource {
	t.Helper()
	m := &memorySource{begin: PartitionSize, size: PartitionSize + 700}
	encoder, err := NewEncoder(EncoderConfig{Actor: func(privacy.Principal) [16]byte { return [16]byte{1} }})
	if err != nil {
		t.Fatal(err)
	}
	var edge Edge
	var full []FullTile
	for edge.Size() < m.size {
		var hash tlog.Hash
		if index := edge.Size(); index < m.begin {
			var leaf [8]byte
			binary.BigEndian.PutUint64(leaf[:], index)
			hash = LeafHash(leaf[:])
		} else {
			event := Event{Kind: ServerStarted, Outcome: Done}
			if index == m.begin+30 {
				event.Kind = LogArchived
			}
			entry, err := encoder.NewEntry(event)
			if err != nil {
				t.Fatal(err)
			}
			hash = LeafHash(entry.Leaf())
			m.entries = append(m.entries, StoredEntry{index, entry.Leaf(), hash})
		}
		full = edge.Append(hash, full[:0])
		for _, tile := range full {
			endsCheckpoint := slices.ContainsFunc(signed, func(size uint64) bool { return size%TileWidth != 0 && size/TileWidth == tile.N })
			if tile.Level > 0 || tile.First() >= m.begin || endsCheckpoint {
				m.tiles[tile.Level] = append(m.tiles[tile.Level], StoredTile{tile.N, tile.Hashes})
			}
			m.subtrees[tile.Level] = append(m.subtrees[tile.Level], StoredSubtree{tile.N, tile.Root})
		}
		size := edge.Size()
		isSigned := slices.Contains(signed, size)
		if isSigned || size == m.size || slices.Contains(committed, size) {
			m.roots = append(m.roots, StoredRoot{size, edge.Root()})
		}
		if isSigned {
			c := Checkpoint{Origin: config.Verifier.Name(), Size: size, Root: edge.Root()}
			m.checkpoints = append(m.checkpoints, StoredCheckpoint{size, c.Root, sign(c)})
		}
	}
	return m
}

// TestVerifyPrunedLog: what is left of a log whose oldest entries were dropped still proves
// each checkpoint that was ever signed, and shows each change.
func TestVerifyPrunedLog(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := NewVerifier("test.example/audit", public)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner("test.example/audit", public, func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	config := VerifyConfig{Verifier: verifier}
	sign := func(c Checkpoint) []byte {
		signed, err := SignCheckpoint(c, signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	signed := []uint64{1, 255, 256, 1000, 70_000, 700_001, PartitionSize - 1, PartitionSize, PartitionSize + 300}
	whole := prunedLog(t, config, sign, signed, []uint64{12, 512, 5000, 70_100})

	report, err := Verify(t.Context(), whole, config)
	if err != nil || !report.Whole() {
		t.Fatalf("got %v, %v, want a whole log", report.Damages, err)
	}
	if report.Begin != PartitionSize || report.Size != whole.size || report.Root != whole.roots[len(whole.roots)-1].Root {
		t.Errorf("got begin %d, size %d, root %v", report.Begin, report.Size, report.Root)
	}
	if report.Checkpoints != uint64(len(signed)) || report.Signed.Size != PartitionSize+300 {
		t.Errorf("got %d checkpoints, the last of size %d, want %d", report.Checkpoints, report.Signed.Size, len(signed))
	}
	// All but 5000, which ends within a tile that is gone.
	if want := uint64(len(signed) + 3 + 1); report.Roots != want {
		t.Errorf("got %d commits compared, want %d", report.Roots, want)
	}

	t.Run("kept checkpoints", func(t *testing.T) {
		for _, c := range whole.checkpoints {
			kept, err := OpenCheckpoint(c.Note, verifier)
			if err != nil {
				t.Fatal(err)
			}
			report, err := Verify(t.Context(), whole, VerifyConfig{Verifier: verifier, Kept: []Checkpoint{kept}})
			if err != nil || !report.Whole() || report.Kept != kept {
				t.Errorf("size %d: got %v, %v, %v", kept.Size, report.Kept, report.Damages, err)
			}
			kept.Root[3] ^= 1
			report, err = Verify(t.Context(), whole, VerifyConfig{Verifier: verifier, Kept: []Checkpoint{kept}})
			if bad, found := report.FirstBad(); err != nil || !found || bad.Kind != KeptForked {
				t.Errorf("another root of size %d: got %v, %v", kept.Size, report.Damages, err)
			}
		}
		// One that the log never stored ends where no hashes are left.
		_, err := Verify(t.Context(), whole, VerifyConfig{Verifier: verifier, Kept: []Checkpoint{{Origin: verifier.Name(), Size: 5000, Root: tlog.Hash{1}}}})
		if !errors.Is(err, ErrArchived) || !errors.Is(err, privacy.ErrNotFound) {
			t.Errorf("got %v, want that the archive is needed", err)
		}
	})

	clone := func() *memorySource {
		c := *whole
		c.roots, c.checkpoints, c.entries = slices.Clone(c.roots), slices.Clone(c.checkpoints), slices.Clone(c.entries)
		for level := range c.tiles {
			c.subtrees[level] = slices.Clone(c.subtrees[level])
			c.tiles[level] = slices.Clone(c.tiles[level])
		}
		return &c
	}
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 1
		return b
	}
	for name, test := range map[string]struct {
		change func(m *memorySource)
		index  uint64
		kind   DamageKind
	}{
		"kept tile":             {func(m *memorySource) { m.tiles[0][2].Hashes = flipped(m.tiles[0][2].Hashes, 40) }, 70_000 &^ 255, TileAltered},
		"kept tile gone":        {func(m *memorySource) { m.tiles[0] = slices.Delete(m.tiles[0], 2, 3) }, 70_000 &^ 255, TileMissing},
		"kept tile short":       {func(m *memorySource) { m.tiles[0][2].Hashes = m.tiles[0][2].Hashes[32:] }, 70_000 &^ 255, TileAltered},
		"tile above":            {func(m *memorySource) { m.tiles[1][3].Hashes = flipped(m.tiles[1][3].Hashes, 64) }, 3<<16 + 512, TileAltered},
		"tile above gone":       {func(m *memorySource) { m.tiles[1] = slices.Delete(m.tiles[1], 3, 4) }, 3 << 16, TileMissing},
		"subtree":               {func(m *memorySource) { m.subtrees[0][900].Root[0] ^= 1 }, 900 * 256, SubtreeAltered},
		"subtree gone":          {func(m *memorySource) { m.subtrees[0] = slices.Delete(m.subtrees[0], 900, 901) }, 900 * 256, SubtreeMissing},
		"subtree above":         {func(m *memorySource) { m.subtrees[1][5].Root[0] ^= 1 }, 5 << 16, SubtreeAltered},
		"old checkpoint":        {func(m *memorySource) { m.checkpoints[3].Note = flipped(m.checkpoints[3].Note, 30) }, 256, CheckpointAltered},
		"old checkpoint forged": {func(m *memorySource) { m.checkpoints[3].Note = sign(Checkpoint{Origin: verifier.Name(), Size: 1000}) }, 256, CheckpointAltered},
		"old commit":            {func(m *memorySource) { m.roots[2].Root[0] ^= 1 }, 12, RootAltered},
		"first entry":           {func(m *memorySource) { m.entries[0].Leaf = flipped(m.entries[0].Leaf, 9) }, PartitionSize, EntryAltered},
		"first entry gone":      {func(m *memorySource) { m.entries = m.entries[1:] }, PartitionSize, EntryMissing},
	} {
		t.Run(name, func(t *testing.T) {
			m := clone()
			test.change(m)
			report, err := Verify(t.Context(), m, config)
			if bad, _ := report.FirstBad(); err != nil || bad.Index != test.index || bad.Kind != test.kind {
				t.Errorf("got %v, %v, want index %d: %s", report.Damages, err, test.index, test.kind)
			}
		})
	}
	for _, begin := range []uint64{1, PartitionSize / 2, 2 * PartitionSize} {
		m := clone()
		m.begin = begin
		if _, err := Verify(t.Context(), m, config); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("a log that begins with %d: got %v, want that no log does", begin, err)
		}
	}
}

// TestAppendTile: a tile at once is the same as its leaves one by one.
func TestAppendTile(t *testing.T) {
	t.Parallel()
	var single, tiles Edge
	var full, above []FullTile
	for n := range uint64(3<<16 + 5*256) {
		var leaf [8]byte
		binary.BigEndian.PutUint64(leaf[:], n)
		full = single.Append(LeafHash(leaf[:]), full[:0])
		if len(full) == 0 {
			continue
		}
		above = tiles.AppendTile(full[0].Root, above[:0])
		if tiles.Root() != single.Root() || tiles.Size() != single.Size() || len(above) != len(full)-1 {
			t.Fatalf("size %d: the edges differ", single.Size())
		}
		for i := range above {
			if a, f := above[i], full[i+1]; a.Level != f.Level || a.N != f.N || a.Root != f.Root || !bytes.Equal(a.Hashes, f.Hashes) {
				t.Fatalf("tile %d of level %d differs", f.N, f.Level)
			}
		}
	}
}

// TestVerifyHiddenBeginning: a log that claims to begin later, and in which nothing says that
// what was before was archived, lacks its beginning.
func TestVerifyHiddenBeginning(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := NewSigner("log.example", public, func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	config := VerifyConfig{}
	if config.Verifier, err = NewVerifier("log.example", public); err != nil {
		t.Fatal(err)
	}
	sign := func(c Checkpoint) []byte {
		signed, err := SignCheckpoint(c, signer)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	end := uint64(PartitionSize + 30) // before the entry that says so
	log := prunedLog(t, config, sign, []uint64{end}, nil)
	log.size, log.entries, log.roots = end, log.entries[:30], log.roots[:1]
	report, err := Verify(t.Context(), log, config)
	if err != nil {
		t.Fatal(err)
	}
	if bad, _ := report.FirstBad(); report.ExitCode() != 1 || bad.Index != 0 || bad.Kind != EntryMissing {
		t.Errorf("a log without its beginning: %v", report.Damages)
	}
}
