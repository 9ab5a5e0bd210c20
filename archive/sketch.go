package archive

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/mahrem/mahrem/privacy"
)

const (
	// sketchSize is how many tags a sketch keeps. Up to here it counts exactly; beyond,
	// its standard error is 1/√(sketchSize-2), 4.4 %.
	sketchSize    = 512
	sketchVersion = 1
)

// sketch counts different people. It keeps the smallest of their tags, which are evenly
// spread numbers: how far the smallest ones reach tells how many there must be (k minimum
// values). The sketch of a union is the union of the sketches, cut again, so people are
// counted once over many facts, days and processes.
type sketch struct{ tags []uint64 } // ascending, each once

// add reports whether the sketch is another one now.
func (s *sketch) add(tag uint64) bool {
	if len(s.tags) == sketchSize && tag >= s.tags[sketchSize-1] {
		return false
	}
	at, found := slices.BinarySearch(s.tags, tag)
	if found {
		return false
	}
	if len(s.tags) == sketchSize {
		s.tags = s.tags[:sketchSize-1]
	}
	s.tags = slices.Insert(s.tags, at, tag)
	return true
}

func (s *sketch) merge(other sketch) {
	for _, tag := range other.tags {
		s.add(tag)
	}
}

// count returns how many people there are, and whether that is exact.
func (s *sketch) count() (people uint64, exact bool) {
	if len(s.tags) < sketchSize {
		return uint64(len(s.tags)), true
	}
	reach := float64(s.tags[sketchSize-1]) / math.MaxUint64
	return uint64(math.Round((sketchSize - 1) / reach)), false
}

// append appends version ‖ tags, 8 bytes each, big endian, ascending.
func (s *sketch) append(b []byte) []byte {
	b = append(b, sketchVersion)
	for _, tag := range s.tags {
		b = binary.BigEndian.AppendUint64(b, tag)
	}
	return b
}

// parseSketch reads what append wrote. The error wraps [privacy.ErrDamaged].
func parseSketch(b []byte) (sketch, error) {
	if len(b) == 0 || b[0] != sketchVersion || len(b)%8 != 1 || len(b) > 1+8*sketchSize {
		return sketch{}, fmt.Errorf("reading sketch of people: %w", privacy.ErrDamaged)
	}
	s := sketch{tags: make([]uint64, 0, len(b)/8)}
	for b = b[1:]; len(b) > 0; b = b[8:] {
		tag := binary.BigEndian.Uint64(b)
		if n := len(s.tags); n > 0 && s.tags[n-1] >= tag {
			return sketch{}, fmt.Errorf("reading sketch of people: order: %w", privacy.ErrDamaged)
		}
		s.tags = append(s.tags, tag)
	}
	return s, nil
}
