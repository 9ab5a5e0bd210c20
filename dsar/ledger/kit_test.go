package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"path/filepath"
	"testing"
	"time"
)

// sealWith is a seal that everybody can compute, for vectors and tests.
func sealWith(key string) func(Hash) Tag {
	return func(h Hash) Tag {
		sum := sha256.Sum256(append([]byte(key), h[:]...))
		return Tag(sum[:16])
	}
}

// testConfig waits as long as a slow disk takes, for all who are before: a lock of several
// processes knows no order.
var testConfig = Config{Seal: sealWith("test"), Wait: 10 * time.Minute}

// sample returns the n-th of many different records.
func sample(n int) Record {
	r := Record{
		Time: time.Date(2026, 3, 29, 0, 59, 58, 0, time.UTC).Add(time.Duration(n) * time.Second), Kind: Erased,
		Erasure: [16]byte{1, byte(n >> 8), byte(n)}, Request: [16]byte{2, byte(n >> 8), byte(n)},
		Person: Tag{3, byte(n >> 8), byte(n)}, Plan: Hash{4, byte(n >> 8), byte(n)},
	}
	for i := range n % 4 {
		r.Suppressed = append(r.Suppressed, Tag{5, byte(n >> 8), byte(n), byte(i)})
	}
	if n%7 == 6 {
		r = Record{Time: r.Time, Kind: Readmitted, Suppressed: []Tag{{5, 0, 1}}}
	}
	return r
}

func create(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "erasures.ledger")
	config := testConfig
	config.Random = bytes.NewReader([]byte("an id of 16 byte"))
	if err := Create(path, config); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(path, testConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func add(t testing.TB, l *Ledger, records ...Record) {
	t.Helper()
	for _, r := range records {
		if _, err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func all(t testing.TB, l *Ledger) []Record {
	t.Helper()
	var records []Record
	if err := l.Scan(context.Background(), func(r Record) error { records = append(records, r); return nil }, nil); err != nil {
		t.Fatal(err)
	}
	return records
}
