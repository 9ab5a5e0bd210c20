package vault

import (
	"encoding/binary"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/mahrem/mahrem/privacy"
)

// formatVersion is the first byte of every wrapped key and sealed blob, and is bound by
// their associated data as well.
const formatVersion = 1

const (
	nonceSize = 12
	tagSize   = 16
	// sealedOverhead is what sealing adds: version, nonce and tag.
	sealedOverhead = 1 + nonceSize + tagSize
)

// kind says what a blob is, so that one kind can never be opened as another.
type kind byte

const (
	kindPersonKey kind = 1
	kindRecord    kind = 2
	kindChunk     kind = 3
	kindBytes     kind = 4
	kindCheck     kind = 5
	kindHouse     kind = 6
)

// place is where a blob belongs. It opens there and nowhere else.
type place struct {
	kind   kind
	person privacy.DataSubjectID
	// label is the data category of a record or chunk, or the name of other bytes.
	label string
	// number tells blobs of one label apart: a chunk's position. Zero for records.
	number int64
	// version is the record version of the row.
	version int64
}

const (
	associatedDomain = "mahrem/vault"
	maxLabel         = 128
	// associatedSize fits the longest associated data, so that it stays on the stack.
	associatedSize = len(associatedDomain) + 1 + 1 + 16 + 8 + 8 + 1 + maxLabel
)

// associatedData appends the associated data of p to dst. It is the only builder of
// associated data in the vault. The encoding is injective: every part but the last has
// a fixed length, and the last carries its own.
//
//	"mahrem/vault" ‖ format version ‖ kind ‖ person (16) ‖ number (8, big endian) ‖
//	record version (8, big endian) ‖ length of label (1) ‖ label
func associatedData(dst []byte, p place) []byte {
	dst = append(dst, associatedDomain...)
	dst = append(dst, formatVersion, byte(p.kind))
	dst = append(dst, p.person[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.number))
	dst = binary.BigEndian.AppendUint64(dst, uint64(p.version))
	dst = append(dst, byte(len(p.label)))
	return append(dst, p.label...)
}

// check refuses a place that the encoding could not tell from another one.
func (p place) check() error {
	if len(p.label) > maxLabel {
		return fmt.Errorf("sealing under a label of more than %d bytes: %w", maxLabel, privacy.ErrInvalid)
	}
	return nil
}

// seal encrypts plaintext for p and puts the version byte in front.
func seal(aead tink.AEAD, p place, plaintext []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	var buffer [associatedSize]byte
	ciphertext, err := aead.Encrypt(plaintext, associatedData(buffer[:0], p))
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	sealed := make([]byte, 1+len(ciphertext))
	sealed[0] = formatVersion
	copy(sealed[1:], ciphertext)
	return sealed, nil
}

// open decrypts what seal made for the same place. Whatever is wrong, the error wraps
// [privacy.ErrDamaged] and says no more: which byte was wrong is of use to an attacker
// alone.
func open(aead tink.AEAD, p place, sealed []byte) ([]byte, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if len(sealed) < sealedOverhead {
		return nil, fmt.Errorf("opening sealed blob of %d bytes: %w", len(sealed), privacy.ErrDamaged)
	}
	if sealed[0] != formatVersion {
		return nil, fmt.Errorf("opening sealed blob of format %d: %w", sealed[0], privacy.ErrDamaged)
	}
	var buffer [associatedSize]byte
	plaintext, err := aead.Decrypt(sealed[1:], associatedData(buffer[:0], p))
	if err != nil {
		return nil, fmt.Errorf("opening sealed blob: %w", privacy.ErrDamaged)
	}
	return plaintext, nil
}
