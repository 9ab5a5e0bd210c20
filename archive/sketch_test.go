package archive

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

func TestSketchCounts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	var s sketch
	seen := map[uint64]bool{}
	for len(seen) < 200_000 {
		tag := random.Uint64()
		seen[tag] = true
		changed := s.add(tag)
		if s.add(tag) {
			t.Fatal("somebody was counted twice")
		}
		count, exact := s.count()
		switch people := uint64(len(seen)); {
		case people < sketchSize:
			if !changed || !exact || count != people {
				t.Fatalf("%d people count as %d, exact: %t", people, count, exact)
			}
		case people%1000 == 0:
			// Five standard errors.
			if off := math.Abs(float64(count)/float64(people) - 1); exact || off > 5/math.Sqrt(sketchSize-2) {
				t.Fatalf("%d people count as %d, exact: %t", people, count, exact)
			}
		}
	}
}

// TestSketchOfUnion: in whatever parts and order people are counted, and however often,
// the sketch is the same.
func TestSketchOfUnion(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var whole sketch
		parts := make([]sketch, 1+random.IntN(5))
		for range random.IntN(3 * sketchSize) {
			tag := random.Uint64N(4 * sketchSize) // often the same
			whole.add(tag)
			parts[random.IntN(len(parts))].add(tag)
			parts[random.IntN(len(parts))].add(tag)
		}
		var union sketch
		for _, part := range parts {
			again, err := parseSketch(part.append(nil))
			if err != nil {
				t.Fatal(err)
			}
			union.merge(again)
		}
		if !slices.Equal(union.tags, whole.tags) {
			t.Fatal("the union of the parts is not the whole")
		}
	}
}

func TestSketchVector(t *testing.T) {
	t.Parallel()
	var s sketch
	for _, person := range []byte{1, 2, 1} {
		s.add(audit.BlindingKey{person}.CountTag())
	}
	const want = "01" + countTagOf1 + countTagOf2
	if got := hex.EncodeToString(s.append(nil)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The first 8 bytes of HMAC-SHA256 of "mahrem/audit/count/v1" under the keys 01 00 … and
// 02 00 …, by openssl.
const (
	countTagOf1 = "03dc7847b4711d8f"
	countTagOf2 = "c42c25be75ae4193"
)

func FuzzParseSketch(f *testing.F) {
	f.Add([]byte{1})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2})
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSketch(b)
		if err == nil && !bytes.Equal(s.append(nil), b) {
			t.Error("it is read as another sketch")
		}
		if err != nil && !errors.Is(err, privacy.ErrDamaged) {
			t.Error(err)
		}
	})
}
