package gate

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/pseudonym"
)

// hashKeys names people by a hash, with the five bytes in front that keys have.
type hashKeys struct{}

func (hashKeys) EncryptDeterministically(plaintext, _ []byte) ([]byte, error) {
	sum := sha256.Sum256(plaintext)
	return append([]byte{1, 2, 3, 4, 5}, sum[:]...), nil
}

func (hashKeys) DecryptDeterministically(_, _ []byte) ([]byte, error) {
	return nil, privacy.ErrInvalid
}

// TestMemberList: whatever their number, all members have their pseudonym, in order, and the
// digest is of that text.
func TestMemberList(t *testing.T) {
	t.Parallel()
	names, err := pseudonym.New("recommender", hashKeys{})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, memberChunk - 1, memberChunk, memberChunk + 1, 3*memberChunk + 7} {
		m := memberList{names: names}
		var want []pseudonym.Pseudonym
		for range n {
			id, err := privacy.NewDataSubjectID(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			name, err := names.Of(id)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, name)
			if err := m.add(id); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.finish(); err != nil {
			t.Fatal(err)
		}
		m.sort()
		slices.Sort(want)
		var text bytes.Buffer
		for _, name := range want {
			text.WriteString(string(name) + "\n")
		}
		if got := slices.Collect(m.all); m.len() != n || !slices.Equal(got, want) {
			t.Errorf("%d people: %d pseudonyms, or in another order", n, len(got))
		}
		if m.digest() != audit.Digest(sha256.Sum256(text.Bytes())) {
			t.Errorf("%d people: the digest is of something else", n)
		}
	}
	// Nobody is left out because of an error, in whichever chunk it was.
	for _, place := range []int{0, 5, memberChunk + 3} {
		m := memberList{names: names}
		for i := range memberChunk + 10 {
			id := privacy.DataSubjectID{1, byte(i >> 8), byte(i)}
			if i == place {
				id = privacy.DataSubjectID{}
			}
			if err := m.add(id); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.finish(); !errors.Is(err, privacy.ErrInvalid) {
			t.Errorf("nobody at %d: got %v", place, err)
		}
	}
}
