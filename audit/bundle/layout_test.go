package bundle

import (
	"testing"

	"github.com/mahrem/mahrem/audit"
)

// TestTreeFiles: the list of files and the test of one file agree, for sizes around every edge.
func TestTreeFiles(t *testing.T) {
	t.Parallel()
	for _, r := range []Range{
		{0, 1, 1},
		{0, 255, 255},
		{0, 256, 256},
		{0, 257, 257},
		{0, 512, 700},
		{256, 700, 700},
		{0, 65536, 65536},
		{65536, 65536 + 256, 3*65536 + 5},
		{256 * 255, 65537, 65537},
	} {
		if !r.valid() {
			t.Errorf("%+v is not valid", r)
		}
		there := map[audit.TileName]bool{}
		for name := range r.tree() {
			if there[name] {
				t.Errorf("%+v: %s twice", r, name.Path())
			}
			there[name] = true
		}
		for level := range audit.TileLevels {
			for n := range uint64(r.Size>>8/256 + 300) {
				for _, width := range []int{1, 5, 44, 188, 255, 256} {
					for _, entries := range []bool{false, true} {
						name := audit.TileName{Entries: entries, Level: level, N: n, Width: width}
						if entries && level > 0 {
							continue
						}
						if r.has(name) != there[name] {
							t.Errorf("%+v: %s: has says %t", r, name.Path(), r.has(name))
						}
					}
				}
			}
		}
		hashes, entries := uint64(0), uint64(0)
		for name := range there {
			if name.Entries {
				entries += uint64(name.Width)
			} else if name.Level == 0 {
				hashes += uint64(name.Width)
			}
		}
		if entries != r.End-r.Begin || hashes != r.End-r.Begin && r.End == r.Size {
			t.Errorf("%+v: files for %d entries and %d hashes", r, entries, hashes)
		}
	}
	for _, r := range []Range{{}, {0, 0, 5}, {1, 5, 5}, {0, 6, 5}, {0, 5, 6}, {256, 256, 256}} {
		if r.valid() {
			t.Errorf("%+v is valid", r)
		}
	}
}

func FuzzParseFactsPath(f *testing.F) {
	f.Add(FactsPath(Pair{audit.Digest{1}, audit.Digest{2}}))
	f.Add("facts/00/00")
	f.Fuzz(func(t *testing.T, path string) {
		if pair, err := ParseFactsPath(path); err == nil && FactsPath(pair) != path {
			t.Fatalf("%q was read as %q", path, FactsPath(pair))
		}
	})
}
