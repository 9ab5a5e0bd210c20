package ledger

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// TestMillionRecords: a ledger of a million records opens at once, whatever its length, and
// is read whole in seconds.
func TestMillionRecords(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() {
		n = 20_000
	}
	path := create(t)
	l := open(t, path)
	head, err := l.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i := range n {
		r := sample(i%7*8 + 1)
		r.Sequence = head.Sequence + 1
		lines.Write(appendLine(lines.AvailableBuffer(), &r, head.Hash, testConfig.Seal))
		head = Head{r.Sequence, r.Hash}
		if lines.Len() > 1<<20 || i == n-1 {
			if _, err := lines.WriteTo(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	again := open(t, path)
	opened := time.Since(begin)
	if got, err := again.Head(t.Context()); err != nil || got != head {
		t.Fatalf("ends at %+v, %v, want %+v", got, err, head)
	}
	begin = time.Now()
	var count int
	if err := again.Scan(t.Context(), func(Record) error { count++; return nil }, nil); err != nil || count != n {
		t.Fatalf("%d records, %v", count, err)
	}
	t.Logf("%d records: opened in %v, read and checked in %v", n, opened, time.Since(begin))
}
