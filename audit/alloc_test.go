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
	event := fullEvent()
	encoder, err := NewEncoder(EncoderConfig{Actor: testActor})
	if err != nil {
		t.Fatal(err)
	}
	entry, _, err := encoder.AppendLeaf(nil, &event)
	if err != nil {
		t.Fatal(err)
	}
	bundle := AppendBundled(AppendBundled(nil, leaf), leaf)
	leaves, err := SplitBundle(nil, bundle, 2)
	if err != nil {
		t.Fatal(err)
	}
	var hashes []byte
	var edge Edge
	var full []FullTile
	for _, test := range []struct {
		name string
		call func()
	}{
		{"tag", func() { _ = s.Blinding.Opening([16]byte{1}).Tag(s.ID) }},
		{"leaf hash", func() { _ = LeafHash(leaf) }},
		{"leaf hashes of a bundle", func() { hashes = HashBundle(hashes[:0], bundle, leaves) }},
		{"check of an entry", func() {
			if _, err := CheckEntry(entry); err != nil {
				t.Error(err)
			}
		}},
		{"edge", func() { full = edge.Append(tlog.Hash{1}, full[:0]) }},
	} {
		if n := testing.AllocsPerRun(1000, test.call); n > 0 {
			t.Errorf("%s: %v allocations", test.name, n)
		}
	}
}
