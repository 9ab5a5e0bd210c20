package vault

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// The limits of what one blob holds. Within them a plaintext is at most
// [MaxPlaintext] bytes, so that no row becomes unreadably large.
const (
	// MaxPlaintext is the longest encoding of a record or chunk.
	MaxPlaintext = 1 << 20
	// MaxFields is how many attributes a record or event has at most.
	MaxFields = 4096
	// MaxName is the longest attribute name or event type.
	MaxName = 128
	// MaxChunkEvents is how many events a chunk has at most.
	MaxChunkEvents = 64
)

// codecVersion is the first byte of every encoded record and chunk.
const codecVersion = 1

// reader takes an encoding apart. The text is one string, so that everything taken
// from it shares its memory and costs no allocation. The first mistake sticks.
type reader struct {
	text   string
	broken bool
}

func (r *reader) fail() { r.broken, r.text = true, "" }

// byte takes one byte.
func (r *reader) byte() byte {
	if len(r.text) == 0 {
		r.fail()
		return 0
	}
	b := r.text[0]
	r.text = r.text[1:]
	return b
}

// uvarint takes an unsigned LEB128 number in its shortest form.
func (r *reader) uvarint() uint64 {
	var value uint64
	for i := 0; i < len(r.text) && i < binary.MaxVarintLen64; i++ {
		b := r.text[i]
		if b < 0x80 {
			if (i == binary.MaxVarintLen64-1 && b > 1) || (i > 0 && b == 0) {
				break
			}
			r.text = r.text[i+1:]
			return value | uint64(b)<<(7*i)
		}
		value |= uint64(b&0x7f) << (7 * i)
	}
	r.fail()
	return 0
}

// count takes a number of things of which each takes at least one byte.
func (r *reader) count(limit int) int {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.text)) {
		r.fail()
		return 0
	}
	return int(n)
}

// string takes a length and that many bytes of valid UTF-8.
func (r *reader) string(limit int) string {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.text)) {
		r.fail()
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	if !utf8.ValidString(s) {
		r.fail()
		return ""
	}
	return s
}

// end reports the first mistake, or that something follows the end.
func (r *reader) end(what string) error {
	if r.broken || r.text != "" {
		return fmt.Errorf("decoding %s: %w", what, privacy.ErrDamaged)
	}
	return nil
}

// zigzag maps small numbers of either sign to small unsigned ones.
func zigzag(n int64) uint64   { return uint64(n<<1) ^ uint64(n>>63) }
func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

// appendName appends an attribute name or event type.
func appendName(dst []byte, name string) ([]byte, error) {
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return nil, fmt.Errorf("encoding a name that is empty, longer than %d bytes or not UTF-8: %w", MaxName, privacy.ErrInvalid)
	}
	return appendText(dst, name), nil
}

// appendPlain appends a personal value. The bytes are in clear until they are sealed.
func appendPlain(dst []byte, value privacy.Plain) ([]byte, error) {
	text := value.RevealPersonalData()
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("encoding a value that is not UTF-8: %w", privacy.ErrInvalid)
	}
	return appendText(dst, text), nil
}
