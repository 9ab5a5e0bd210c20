package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mahrem/mahrem/privacy"
)

// TestVector holds the format to a file that was written once, by hand from
// docs/spec/ledger.md: it must be read for ever, and written the same.
func TestVector(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile(filepath.Join("testdata", "erasures.ledger"))
	if err != nil {
		t.Fatal(err)
	}
	path := create(t)
	l := open(t, path)
	add(t, l, sample(0), sample(1), sample(6), sample(3))
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// The hashes by the words of the specification alone.
	previous := make([]byte, 32)
	for i, line := range bytes.Split(bytes.TrimSuffix(want, []byte("\n")), []byte("\n")) {
		fields := bytes.Split(line, []byte(" "))
		text := bytes.Join(fields[:len(fields)-2], []byte(" "))
		sum := sha256.Sum256(append(append([]byte("mahrem/erasure-ledger\x01"), previous...), text...))
		if hex.EncodeToString(sum[:]) != string(fields[len(fields)-2]) {
			t.Errorf("line %d has another hash", i)
		}
		previous = sum[:]
	}
}

// TestOneSpelling: a record that could be written in two ways could be changed unseen by
// whoever compares texts.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	r := sample(1)
	r.Sequence = 7
	right := string(appendText(nil, &r))
	for _, change := range [][2]string{
		{"7 ", "07 "},
		{"7 ", "+7 "},
		{"Z ", "+00:00 "},
		{":59Z", ":59.0Z"},
		{"T00", "t00"},
		{" 04", " 0400"},
		{"01000100000000000000000000000000", "0100010000000000000000000000000A"},
		{"02000100000000000000000000000000", "00000000000000000000000000000000"},
		{" 0500", " ,0500"},
		{" 0500", "  0500"},
		{"erased", "Erased"},
	} {
		text := strings.Replace(right, change[0], change[1], 1)
		if text == right {
			t.Fatalf("%q is not in %q", change[0], right)
		}
		if _, err := parseText([]byte(text)); !errors.Is(err, privacy.ErrDamaged) {
			t.Errorf("%q: %v, want ErrDamaged", text, err)
		}
	}
	if _, err := parseText([]byte(right)); err != nil {
		t.Error(err)
	}
}

func FuzzLine(f *testing.F) {
	seal := testConfig.Seal
	for n := range 8 {
		r := sample(n)
		r.Sequence = uint64(n + 1)
		f.Add(appendText(nil, &r))
	}
	f.Add([]byte("1 2026-03-29T00:59:58Z erased - - - - -"))
	f.Add([]byte("01 2026-03-29T02:59:58+02:00 readmitted - - - - 00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		line := appendEnd(bytes.Clone(text), link(Hash{}, text), seal)
		r, err := parseLine(line, Hash{}, seal)
		if err != nil {
			return
		}
		if err := r.Validate(); err != nil {
			t.Fatalf("a line was read that may not be written: %v", err)
		}
		if got := appendLine(nil, &r, Hash{}, seal); !bytes.Equal(got, line) {
			t.Fatalf("read from\n%s written as\n%s", line, got)
		}
		if _, err := parseLine(line, Hash{1}, seal); err == nil {
			t.Fatal("read at another place")
		}
		if _, err := parseLine(line, Hash{}, sealWith("other")); err == nil {
			t.Fatal("read under another key")
		}
	})
}

func FuzzHeader(f *testing.F) {
	f.Add(appendHeader(ID{1}, testConfig.Seal))
	f.Add([]byte(title))
	f.Fuzz(func(t *testing.T, line []byte) {
		id, _, err := parseHeader(line, testConfig.Seal)
		if err == nil && !bytes.Equal(appendHeader(id, testConfig.Seal), line) {
			t.Fatal("a header is spelled in two ways")
		}
	})
}
