package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

const (
	// title begins a ledger; 1 is the version of the format.
	title = "mahrem-erasure-ledger 1 "
	// chain separates the hashes of a ledger from all others.
	chain = "mahrem/erasure-ledger\x01"
	// maxLine bounds what is read of a file that may be anything.
	maxLine = 16 << 20
	// none stands for what a record does not have.
	none = "-"
)

// link returns the hash that covers text and, through previous, all lines before it.
func link(previous Hash, text []byte) Hash {
	h := sha256.New()
	h.Write([]byte(chain))
	h.Write(previous[:])
	h.Write(text)
	return Hash(h.Sum(nil))
}

// appendText writes the fields of a record, without hash and seal.
func appendText(dst []byte, r *Record) []byte {
	dst = strconv.AppendUint(dst, r.Sequence, 10)
	dst = append(dst, ' ')
	dst = r.Time.UTC().AppendFormat(dst, time.RFC3339)
	dst = append(dst, ' ')
	dst = append(dst, r.Kind...)
	for _, field := range [][]byte{r.Erasure[:], r.Request[:], r.Person[:], r.Plan[:]} {
		dst = append(dst, ' ')
		dst = appendHex(dst, field)
	}
	dst = append(dst, ' ')
	if len(r.Suppressed) == 0 {
		return append(dst, none...)
	}
	for i := range r.Suppressed {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = hex.AppendEncode(dst, r.Suppressed[i][:])
	}
	return dst
}

// appendHex writes bytes in lower case, and those that are all zero as none.
func appendHex(dst, field []byte) []byte {
	if len(bytes.Trim(field, "\x00")) == 0 {
		return append(dst, none...)
	}
	return hex.AppendEncode(dst, field)
}

// appendLine writes the record that follows the line with that hash, and its hash into it.
func appendLine(dst []byte, r *Record, previous Hash, seal func(Hash) Tag) []byte {
	start := len(dst)
	dst = appendText(dst, r)
	r.Hash = link(previous, dst[start:])
	return appendEnd(dst, r.Hash, seal)
}

func appendEnd(dst []byte, hash Hash, seal func(Hash) Tag) []byte {
	tag := seal(hash)
	dst = append(dst, ' ')
	dst = hex.AppendEncode(dst, hash[:])
	dst = append(dst, ' ')
	dst = hex.AppendEncode(dst, tag[:])
	return append(dst, '\n')
}

// endSize is the length of what appendEnd writes.
const endSize = 1 + 64 + 1 + 32 + 1

func damaged(what string) error {
	return fmt.Errorf("%s: %w", what, privacy.ErrDamaged)
}

// cutEnd checks the end of a line, with its newline, against the line before it, and returns
// the text and the hash.
func cutEnd(line []byte, previous Hash, seal func(Hash) Tag) (text []byte, hash Hash, err error) {
	if len(line) <= endSize || line[len(line)-1] != '\n' {
		return nil, Hash{}, damaged("line too short")
	}
	text, end := line[:len(line)-endSize], line[len(line)-endSize:]
	hash = link(previous, text)
	if !bytes.Equal(end[:1+64], append([]byte(" "), hex.EncodeToString(hash[:])...)) {
		return nil, Hash{}, damaged("hash does not fit the line and those before it")
	}
	if !bytes.Equal(end, appendEnd(nil, hash, seal)) {
		return nil, Hash{}, damaged("seal was made under another key")
	}
	return text, hash, nil
}

// parseText reads what appendText writes, and nothing else.
func parseText(text []byte) (Record, error) {
	fields := bytes.Split(text, []byte(" "))
	if len(fields) != 8 {
		return Record{}, damaged("number of fields")
	}
	var r Record
	var err error
	if r.Sequence, err = strconv.ParseUint(string(fields[0]), 10, 63); err != nil || r.Sequence == 0 {
		return Record{}, damaged("sequence")
	}
	if r.Time, err = time.Parse(time.RFC3339, string(fields[1])); err != nil {
		return Record{}, damaged("time")
	}
	r.Time, r.Kind = r.Time.UTC(), Kind(fields[2])
	for i, to := range [][]byte{r.Erasure[:], r.Request[:], r.Person[:], r.Plan[:]} {
		if field := fields[3+i]; string(field) != none && !decodeHex(to, field) {
			return Record{}, damaged("field " + strconv.Itoa(4+i))
		}
	}
	if string(fields[7]) != none {
		tags := bytes.Split(fields[7], []byte(","))
		r.Suppressed = make([]Tag, len(tags))
		for i, tag := range tags {
			if !decodeHex(r.Suppressed[i][:], tag) {
				return Record{}, damaged("tags")
			}
		}
	}
	if err := r.Validate(); err != nil {
		return Record{}, damaged("record that nobody may write")
	}
	if !bytes.Equal(appendText(nil, &r), text) {
		return Record{}, damaged("spelling")
	}
	return r, nil
}

func decodeHex(to, from []byte) bool {
	if len(from) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to, from)
	return err == nil
}

// parseLine reads one line after the one with the hash previous.
func parseLine(line []byte, previous Hash, seal func(Hash) Tag) (Record, error) {
	text, hash, err := cutEnd(line, previous, seal)
	if err != nil {
		return Record{}, err
	}
	r, err := parseText(text)
	if err != nil {
		return Record{}, err
	}
	r.Hash = hash
	return r, nil
}

// ID names a ledger. It is random, and the first line.
type ID [16]byte

// String is the id in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

func appendHeader(id ID, seal func(Hash) Tag) []byte {
	text := hex.AppendEncode([]byte(title), id[:])
	return appendEnd(text, link(Hash{}, text), seal)
}

// headerSize is the length of the first line.
const headerSize = len(title) + 32 + endSize

func parseHeader(line []byte, seal func(Hash) Tag) (ID, Hash, error) {
	if !bytes.HasPrefix(line, []byte(title)) || len(line) != headerSize {
		return ID{}, Hash{}, damaged("no erasure ledger of version 1")
	}
	text, hash, err := cutEnd(line, Hash{}, seal)
	if err != nil {
		return ID{}, Hash{}, err
	}
	var id ID
	if !decodeHex(id[:], text[len(title):]) || id.String() != string(text[len(title):]) {
		return ID{}, Hash{}, damaged("id")
	}
	return id, hash, nil
}
