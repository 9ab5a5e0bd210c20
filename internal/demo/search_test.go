package demo_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"io/fs"
	"maps"
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

// longWord is how many bytes no random ones happen to be: among some hundred megabytes of what is
// sealed, and some of Base64, for thousands of words once in 10^10 runs.
const longWord = 10

// byChance is how many different words of six bytes or more, but of less than longWord, may stand
// in random bytes by themselves. One does once in ten thousand runs, so three are no chance.
const byChance = 2

// copies is how often one that does may stand there: what is sealed is kept in a few places.
const copies = 4

// beyondChance returns what was found if it is more than chance explains. If times is not nil, it
// says how often a word was found: of a column of two words each stands there often.
func beyondChance(found []string, times func(word string) int) []string {
	if len(found) > byChance {
		return found
	}
	for _, word := range found {
		if len(word) >= longWord || times != nil && times(word) > copies {
			return found
		}
	}
	return nil
}

// inWord reports whether a byte goes on with a word, as one of Base64 does.
func inWord(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_' || b == '+' || b == '/'
}

// standsAlone reports whether content[from:to] is no part of a longer word.
func standsAlone(content []byte, from, to int) bool {
	return (from == 0 || !inWord(content[from-1])) && (to == len(content) || !inWord(content[to]))
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
			if bytes.HasPrefix(content[i:], []byte(word)) && (len(word) >= longWord || standsAlone(content, i, i+len(word))) {
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
func (s *searcher) inDump(sql []byte) (text, binary map[string]bool) {
	text, binary = map[string]bool{}, map[string]bool{}
	s.find(sql, text)
	for _, literal := range hexValue.FindAll(sql, -1) {
		raw := make([]byte, hex.DecodedLen(len(literal)-2))
		if n, err := hex.Decode(raw, literal[2:]); err == nil || n > 0 {
			s.find(raw[:n], binary)
		}
	}
	return text, binary
}

func list(words []string) string { return strings.Join(words[:min(20, len(words))], ", ") }

// TestSearch: names are found wherever they stand by themselves, long words anywhere, and what
// chance explains is told from what it does not.
func TestSearch(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{copies: 0, copies + 1: 1} {
		if found := beyondChance([]string{"Robert"}, func(string) int { return n }); len(found) != want {
			t.Errorf("a short word that is there %d times: %v", n, found)
		}
	}
	s := newSearcher([]string{"Robert", "Müller", "Berlin", "ada@example.com"})
	for content, want := range map[string][]string{
		`{"Robert"}` + "\x0fMüller\x00": {},
		`"Robert" 'Müller' (Berlin)`:    {"Berlin", "Müller", "Robert"},
		"aRobertb/Müller+xBerlin9":      {},
		"aada@example.com9":             {"ada@example.com"},
	} {
		found := map[string]bool{}
		s.find([]byte(content), found)
		if got := beyondChance(slices.Sorted(maps.Keys(found)), nil); !slices.Equal(got, want) {
			t.Errorf("in %q there are %v, found is %v", content, want, got)
		}
	}
}
