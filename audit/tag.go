package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"

	"github.com/mahrem/mahrem/privacy"
)

// Labels that keep the uses of a blinding key apart.
const (
	openLabel   = "mahrem/audit/open/v1"
	erasedLabel = "mahrem/audit/erased/v1"
	countLabel  = "mahrem/audit/count/v1"
)

// Tag is what stands in an entry where the person would be. Two entries about one
// person carry tags that nothing but the person's blinding key connects.
type Tag [32]byte

// IsZero reports whether there is no tag: the entry is about nobody.
func (t Tag) IsZero() bool { return t == Tag{} }

// Opening opens the tag of one entry and of no other: whoever holds it and the data
// subject id can check that the entry is about that person. It may be handed out.
type Opening [32]byte

// Opening derives the opening of the entry with that id: HKDF-Expand (RFC 5869 section
// 2.3, SHA-256, 32 bytes) of the blinding key, with the label and the entry id as info.
func (b BlindingKey) Opening(entryID [16]byte) Opening {
	var info [len(openLabel) + len(entryID) + 1]byte
	n := copy(info[:], openLabel)
	n += copy(info[n:], entryID[:])
	info[n] = 1 // the first and only block of HKDF-Expand
	return hmacSHA256(b, info[:])
}

// Tag is the tag of the entry that o opens, if the entry is about id.
func (o Opening) Tag(id privacy.DataSubjectID) Tag { return hmacSHA256(o, id[:]) }

// ErasedTag is the tag of the entry that records the erasure of the key's person. It
// is the same for every such entry, so that a restored backup can find out, with the
// restored key, that the person must be erased again: the log is the list of erasures
// without a name in it.
func (b BlindingKey) ErasedTag() Tag { return hmacSHA256(b, []byte(erasedLabel)) }

// CountTag is one number a person, by which they are counted once however often they
// occur. It connects with no entry and, once the key is shredded, with nobody; it belongs
// into no log and no table in clear, for it is the same wherever it stands.
func (b BlindingKey) CountTag() uint64 {
	sum := hmacSHA256(b, []byte(countLabel))
	return binary.BigEndian.Uint64(sum[:])
}

// hmacSHA256 is HMAC (RFC 2104) for a 32-byte key and a message of at most 64 bytes. It
// is written out because crypto/hmac allocates two hash states for every call, and
// this runs for every entry of the log.
func hmacSHA256(key [32]byte, message []byte) [32]byte {
	var inner [64 + 64]byte
	var outer [64 + 32]byte
	for i := range 64 {
		var k byte
		if i < len(key) {
			k = key[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	if len(message) > 64 {
		panic("audit: message of a tag is too long")
	}
	n := 64 + copy(inner[64:], message)
	sum := sha256.Sum256(inner[:n])
	copy(outer[64:], sum[:])
	return sha256.Sum256(outer[:])
}

// String says REDACTED.
func (BlindingKey) String() string { return privacy.Redacted }

// Format says REDACTED for every verb.
func (BlindingKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, privacy.Redacted) }

// LogValue says REDACTED.
func (BlindingKey) LogValue() slog.Value { return slog.StringValue(privacy.Redacted) }

// MarshalJSON says REDACTED.
func (BlindingKey) MarshalJSON() ([]byte, error) { return []byte(`"` + privacy.Redacted + `"`), nil }
