package audit_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func TestTilePath(t *testing.T) {
	t.Parallel()
	for path, name := range map[string]audit.TileName{
		"tile/0/000":                      {Width: 256},
		"tile/0/001.p/1":                  {N: 1, Width: 1},
		"tile/3/x001/x234/067":            {Level: 3, N: 1234067, Width: 256},
		"tile/entries/x001/x234/067.p/43": {Entries: true, N: 1234067, Width: 43},
		"tile/entries/999":                {Entries: true, N: 999, Width: 256},
		"tile/6/x001/000.p/255":           {Level: 6, N: 1000, Width: 255},
	} {
		if got := name.Path(); got != path {
			t.Errorf("%+v: got %s, want %s", name, got, path)
		}
		if got, err := audit.ParseTilePath(path); err != nil || got != name {
			t.Errorf("%s: got %+v, %v, want %+v", path, got, err, name)
		}
	}
}

func FuzzParseTilePath(f *testing.F) {
	for _, path := range []string{
		"", "tile/", "tile/0/0", "tile/0/0000", "tile/0/x000/001", "tile/0/001.p/256", "tile/0/001.p/0", "tile/7/001", "tile/00/001",
		"tile/0/001.p/01", "tile/entries/1/2", "/tile/0/001", "tile/0/x001/234", "tile/0/x001x234/067", "tile/-1/000", "tile/+1/000",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := audit.ParseTilePath(path)
		if err != nil {
			if !errors.Is(err, privacy.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			return
		}
		if name.Path() != path {
			t.Fatalf("%q was read as %q", path, name.Path())
		}
	})
}

func TestParseTilePathRefuses(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"tile/0/0", "tile/0/0000", "tile/0/x000/001", "tile/0/001.p/256", "tile/0/001.p/0", "tile/7/001", "tile/00/001",
		"tile/0/001.p/01", "tile/entries/1/2", "/tile/0/001", "tile/0/x001x234/067", "tile/+1/000", "tile/0/../001",
	} {
		if name, err := audit.ParseTilePath(path); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: got %+v, %v, want ErrInvalid", path, name, err)
		}
	}
}

func FuzzSplitBundle(f *testing.F) {
	whole := audit.AppendBundled(audit.AppendBundled(nil, []byte("a")), []byte("bc"))
	f.Add(whole, 2)
	f.Add(whole[:3], 2)
	f.Add([]byte{0, 0}, 1)
	f.Fuzz(func(t *testing.T, bundle []byte, width int) {
		if width < 0 || width > audit.TileWidth {
			return
		}
		leaves, err := audit.SplitBundle(nil, bundle, width)
		if err != nil {
			if !errors.Is(err, privacy.ErrDamaged) {
				t.Fatalf("got %v, want ErrDamaged", err)
			}
			return
		}
		var again []byte
		for _, leaf := range leaves {
			again = audit.AppendBundled(again, leaf)
		}
		if len(leaves) != width || string(again) != string(bundle) {
			t.Fatalf("%d leaves of %x make %x", len(leaves), bundle, again)
		}
	})
}

func TestSplitBundle(t *testing.T) {
	t.Parallel()
	want := [][]byte{[]byte("first"), []byte("second entry")}
	var bundle []byte
	for _, leaf := range want {
		bundle = audit.AppendBundled(bundle, leaf)
	}
	got, err := audit.SplitBundle(nil, bundle, 2)
	if err != nil || !cmp.Equal(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
	for name, wrong := range map[string][]byte{
		"cut": bundle[:len(bundle)-1], "longer": append(bundle[:len(bundle):len(bundle)], 0), "empty entry": {0, 0, 0, 1, 'x'}, "one too few": bundle[:7],
	} {
		if _, err := audit.SplitBundle(nil, wrong, 2); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%s: got %v, want ErrDamaged", name, err)
		}
	}
}
