package audit

import (
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// TestHotPathDoesNotAllocate holds what every entry of the log costs: its tag, its hash,
// and its place in the tree, where a tile of 256 is one allocation.
func TestHotPathDoesNotAllocate(t *testing.T) {
	s := fullEvent().Subject
	leaf := make([]byte, 400)
	var edge Edge
	var full []FullTile
	for _, test := range []struct {
		name string
		call func()
	}{
		{"tag", func() { _ = s.Blinding.Opening([16]byte{1}).Tag(s.ID) }},
		{"leaf hash", func() { _ = LeafHash(leaf) }},
		{"edge", func() { full = edge.Append(tlog.Hash{1}, full[:0]) }},
	} {
		if n := testing.AllocsPerRun(1000, test.call); n > 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}
