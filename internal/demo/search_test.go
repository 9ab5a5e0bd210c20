package demo_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// searcher finds many words in one pass over bytes that may be anything.
type searcher struct {
	starts [1 << 21]byte // which first three bytes there are, a bit each
	words  map[[4]byte][]string
}

// newSearcher takes words of at least six bytes: shorter ones occur by chance.
func newSearcher(words []string) *searcher {
	s := &searcher{words: map[[4]byte][]string{}}
	for _, word := range words {
		if len(word) >= 6 {
			bit := start(word)
			s.starts[bit>>3] |= 1 << (bit & 7)
			key := [4]byte([]byte(word[:4]))
			s.words[key] = append(s.words[key], word)
		}
	}
	return s
}

func start[T string | []byte](b T) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

func (s *searcher) find(content []byte, found map[string]bool) {
	for i := 0; i+6 <= len(content); i++ {
		if bit := start(content[i:]); s.starts[bit>>3]>>(bit&7)&1 == 0 {
			continue
		}
		for _, word := range s.words[[4]byte(content[i:])] {
			if bytes.HasPrefix(content[i:], []byte(word)) {
				found[word] = true
			}
		}
	}
}

// inFiles looks through every file below dir, whole.
func (s *searcher) inFiles(t *testing.T, dir string) (found map[string]bool, size int64) {
	t.Helper()
	found = map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // a server is at work there
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		file, err := os.Open(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer file.Close()
		content, err := io.ReadAll(file)
		size += int64(len(content))
		s.find(content, found)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found, size
}

var hexValue = regexp.MustCompile(`\\x[0-9a-f]{2,}`)

// inDump looks through a dump as SQL, as it is and inside of its binary values.
func (s *searcher) inDump(sql []byte) map[string]bool {
	found := map[string]bool{}
	s.find(sql, found)
	for _, literal := range hexValue.FindAll(sql, -1) {
		raw := make([]byte, hex.DecodedLen(len(literal)-2))
		if n, err := hex.Decode(raw, literal[2:]); err == nil || n > 0 {
			s.find(raw[:n], found)
		}
	}
	return found
}

func list(found map[string]bool) string {
	var words []string
	for word := range found {
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words[:min(20, len(words))], ", ")
}
