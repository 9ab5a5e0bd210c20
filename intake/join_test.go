package intake

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/privacy"
)

// TestJoinedFileIsBoundedInBytes: a small gzip that stands for a lot is refused by name,
// wherever in it the bytes are.
func TestJoinedFileIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	join := JoinMap{Name: "product", File: "p.csv.gz", On: "id", Key: "id", Columns: []string{"type"}}
	read := func(text string, most int64) (*lookup, error) {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		source := Source{Sibling: func(name string) (Source, error) {
			return Source{Name: name, Open: func() (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
			}}, nil
		}}
		return readLookup(context.Background(), source, join, limits{64 << 10, 1 << 20}, most)
	}
	const small = "id,type\n1,beer\n"
	if l, err := read(small, int64(len(small))); err != nil || l.find("1")[0] != "beer" {
		t.Errorf("a file of exactly the limit: %v", err)
	}
	for name, text := range map[string]string{
		"one byte more": small + "\n",
		"rows":          small + strings.Repeat("1,beer\n", 1<<16),
		"empty lines":   small + strings.Repeat("\n", 1<<20),
		"one cell":      small + "2," + strings.Repeat("x", 1<<20),
		"header":        strings.Repeat("x", 1<<20),
	} {
		if l, err := read(text, int64(len(small))); !errors.Is(err, ErrLookupTooLarge) || !errors.Is(err, privacy.ErrInvalid) || l != nil {
			t.Errorf("%s: got %v, want ErrLookupTooLarge", name, err)
		}
	}
}
