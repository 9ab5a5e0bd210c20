package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestEdgeRoots compares with the test vectors of certificate transparency (RFC 6962
// trees over eight known leaves).
func TestEdgeRoots(t *testing.T) {
	t.Parallel()
	leaves := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var edge Edge
	for i, want := range roots {
		if got := edge.Root(); hex.EncodeToString(got[:]) != want {
			t.Errorf("root of %d leaves is %x, want %s", i, got, want)
		}
		if i < len(leaves) {
			leaf, _ := hex.DecodeString(leaves[i])
			edge.Append(LeafHash(leaf), nil)
		}
	}
}

// TestEdgeAgreesWithTlog grows a tree over three levels of tiles, and compares roots,
// tiles and the edge that is loaded from what is stored with x/mod's tlog.
func TestEdgeAgreesWithTlog(t *testing.T) {
	t.Parallel()
	const size = 1<<16 + 700
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	var edge Edge
	var leaves []byte
	var subtrees [TileLevels][]byte
	for n := range int64(size) {
		var leaf [8]byte
		binary.BigEndian.PutUint64(leaf[:], uint64(n))
		hash := tlog.Hash(sha256.Sum256(leaf[:]))
		hashes, err := tlog.StoredHashesForRecordHash(n, hash, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		leaves = append(leaves, hash[:]...)
		for _, full := range edge.Append(hash, nil) {
			subtrees[full.Level] = append(subtrees[full.Level], full.Root[:]...)
			want, err := tlog.ReadTileData(tlog.Tile{H: 8, L: full.Level, N: int64(full.N), W: 256}, reader)
			if err != nil || string(want) != string(full.Hashes) {
				t.Fatalf("tile %d of level %d differs (%v)", full.N, full.Level, err)
			}
			if root := stored[tlog.StoredHashIndex(8*(full.Level+1), int64(full.N))]; root != full.Root {
				t.Fatalf("root of tile %d of level %d differs", full.N, full.Level)
			}
		}
		if n%997 != 0 && n != size-1 && n < size-300 {
			continue
		}
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil || edge.Root() != want {
			t.Fatalf("root of %d entries differs (%v)", n+1, err)
		}
		var tiles [TileLevels][]byte
		for level := range tiles {
			first, count := Unfinished(uint64(n+1), level)
			base := leaves
			if level > 0 {
				base = subtrees[level-1]
			}
			tiles[level] = base[first*32 : (first+uint64(count))*32]
		}
		loaded, err := LoadEdge(uint64(n+1), tiles)
		if err != nil || loaded.Root() != want {
			t.Fatalf("loaded root of %d entries differs (%v)", n+1, err)
		}
	}
}

// TestEdgeCopyUndoesAppends: an older copy goes on as if nothing had happened.
func TestEdgeCopyUndoesAppends(t *testing.T) {
	t.Parallel()
	hash := func(n int, salt byte) tlog.Hash { return sha256.Sum256([]byte{byte(n), byte(n >> 8), salt}) }
	var edge, straight Edge
	for n := range 600 {
		if n%7 == 0 {
			attempt := edge
			for k := range 300 {
				attempt.Append(hash(k, 1), nil)
			}
		}
		edge.Append(hash(n, 0), nil)
		full := straight.Append(hash(n, 0), nil)
		if edge.Root() != straight.Root() {
			t.Fatalf("roots differ after %d entries", n+1)
		}
		for i := range full {
			var again Edge
			for k := range TileWidth {
				again.Append(tlog.Hash(full[i].Hashes[k*32:]), nil)
			}
			if again.Root() != full[i].Root {
				t.Fatalf("tile %d does not hash to its root", full[i].N)
			}
		}
	}
}

func BenchmarkEdgeAppend(b *testing.B) {
	var edge Edge
	var full []FullTile
	hash := tlog.Hash{1}
	b.ReportAllocs()
	for b.Loop() {
		full = edge.Append(hash, full[:0])
	}
}
