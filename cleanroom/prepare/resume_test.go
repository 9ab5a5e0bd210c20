package prepare_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/cleanroom/prepare"
	"github.com/mahrem/mahrem/privacy"
)

// What is kept of work that broke off is known by its content: a chunk that has the right form
// and another content is made again.
func TestChunksThatAreKeptAreThoseThatWereWritten(t *testing.T) {
	t.Parallel()
	c, _ := config(t)
	const n = 2*prepare.ChunkSize + 3
	c.Declared = n
	file, seed := source("x.csv", people(n)), strings.Repeat("s", 32)
	run := func(dir string, batches int) (int, error) {
		c, counting := c, &stopping{c.Matcher, batches}
		c.Matcher, c.Random = counting, strings.NewReader(seed)
		_, err := prepare.Run(t.Context(), file, dir, c)
		return batches - counting.left, err
	}
	whole := filepath.Join(t.TempDir(), "whole")
	if _, err := run(whole, 100); err != nil {
		t.Fatal(err)
	}
	want := must(os.ReadFile(filepath.Join(whole, prepare.MembersFile)))(t)
	first := int64(bytes.IndexByte(want, '\n')) + 1
	for name, test := range map[string]struct {
		damage func(dir string) error
		// made is how many chunks have to be made, with the fingerprint.
		made int
	}{
		"nothing": {func(string) error { return nil }, 2},
		"two members of the second chunk have changed places": {func(dir string) error {
			return change(filepath.Join(dir, prepare.MembersFile), func(text []byte) []byte {
				tokens := bytes.SplitN(bytes.TrimPrefix(text[first:], []byte(`{"members":["`)), []byte(`","`), 3)
				changed := slices.Concat(text[:first], []byte(`{"members":["`), bytes.Join([][]byte{tokens[1], tokens[0], tokens[2]}, []byte(`","`)))
				if _, err := prepare.ParseMembers(bytes.TrimSuffix(changed[first:], []byte("\n")), "operator"); err != nil || len(changed) != len(text) {
					t.Fatalf("the damage shows in the form: %v", err)
				}
				return changed
			})
		}, 3},
		"the first chunk is the second": {func(dir string) error {
			return change(filepath.Join(dir, prepare.MembersFile), func(text []byte) []byte { return append(bytes.Clone(text[first:]), text[:first]...) })
		}, 4},
		"no digests": {func(dir string) error { return os.Remove(filepath.Join(dir, ".digests")) }, 4},
		"a digest is torn": {func(dir string) error {
			return change(filepath.Join(dir, ".digests"), func(text []byte) []byte { return text[:len(text)-1] })
		}, 3},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		// Two chunks, and before them the secret's fingerprint.
		if _, err := run(dir, 3); !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		if err := test.damage(dir); err != nil {
			t.Fatal(err)
		}
		made, err := run(dir, 100)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if made != test.made {
			t.Errorf("%s: %d batches were masked, want %d", name, made, test.made)
		}
		if got := must(os.ReadFile(filepath.Join(dir, prepare.MembersFile)))(t); !bytes.Equal(got, want) {
			t.Errorf("%s: what was taken up came out otherwise", name)
		}
		if _, err := os.Stat(filepath.Join(dir, ".digests")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: digests are left: %v", name, err)
		}
	}
}

func change(path string, how func(text []byte) []byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, how(text), 0o600)
}

// Broken off between the note and the end, a directory is complete, and forgets its seed.
func TestWhatEndedJustBeforeTheEndIsComplete(t *testing.T) {
	t.Parallel()
	c, verifier := config(t)
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".state", ".digests"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); !errors.Is(err, privacy.ErrConflict) {
		t.Errorf("preparing over what is complete: %v", err)
	}
	for _, name := range []string{".state", ".digests"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	open(t, dir, verifier, 3)
	// A directory of which not even the state was written is as good as empty.
	dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ".state.new"), []byte(`{"ver`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := prepare.Run(t.Context(), source("x.csv", people(12)), dir, c); err != nil {
		t.Error(err)
	}
}

// A delivery from a chunk on is what is left of the whole, behind a head that says so.
func TestDeliveryFromAChunkOn(t *testing.T) {
	t.Parallel()
	c, _ := config(t)
	const n = 2*prepare.ChunkSize + 3
	c.Declared, c.Matcher, c.Random = n, match.NewOperator(), rand.Reader
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := prepare.Run(t.Context(), source("x.csv", people(n)), dir, c); err != nil {
		t.Fatal(err)
	}
	d := must(prepare.OpenDelivery(dir))(t)
	defer func() { _ = d.Close() }()
	read := func(in io.Reader, size int64) ([]byte, []byte) {
		text := must(io.ReadAll(in))(t)
		if int64(len(text)) != size {
			t.Errorf("%d bytes were announced, and %d come", size, len(text))
		}
		head, rest, _ := bytes.Cut(text, []byte("\n"))
		return head, rest
	}
	_, whole := read(d, d.Size)
	chunks := bytes.SplitAfter(whole, []byte("\n"))
	if d.Chunks() != 6 || d.MemberChunks != 3 || len(chunks) != 7 {
		t.Fatalf("%d chunks, %d of members, %d lines", d.Chunks(), d.MemberChunks, len(chunks))
	}
	// Back and forth: what was looked up is known.
	for _, chunk := range []int{4, 0, 6, 3, 2, 5, 1} {
		in, size, err := d.From(chunk)
		if err != nil {
			t.Fatal(err)
		}
		head, rest := read(in, size)
		parsed, err := prepare.ParseHead(head)
		if err != nil || parsed.From != chunk || prepare.Digest(parsed.Manifest) != d.Manifest {
			t.Errorf("the head says %d, %v", parsed.From, err)
		}
		if !bytes.Equal(rest, bytes.Join(chunks[chunk:], nil)) {
			t.Errorf("from chunk %d on something else comes", chunk)
		}
	}
	for _, chunk := range []int{-1, 7} {
		if _, _, err := d.From(chunk); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("from chunk %d on: %v", chunk, err)
		}
	}
	for at, want := range map[[2]int]int{{0, 0}: 0, {2, 0}: 2, {3, 2}: 5, {3, 9}: 6} {
		if got := d.Next(at[0], at[1]); got != want {
			t.Errorf("after %v comes %d, want %d", at, got, want)
		}
	}
	if err := change(filepath.Join(dir, prepare.MembersFile), func(text []byte) []byte { text[100] ^= 1; return text }); err != nil {
		t.Fatal(err)
	}
	damaged := must(prepare.OpenDelivery(dir))(t)
	defer func() { _ = damaged.Close() }()
	if _, _, err := damaged.From(2); !errors.Is(err, privacy.ErrDamaged) {
		t.Errorf("behind what is not what was signed: %v", err)
	}
	for _, head := range []string{`{"manifest":"x","from":-1}`, `{"manifest":"x","from":1.5}`, `{"manifest":"x","from":"1"}`} {
		if _, err := prepare.ParseHead([]byte(head)); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("%s: %v", head, err)
		}
	}
}
