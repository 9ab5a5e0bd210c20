package consent

import (
	"encoding/hex"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// ParseID reads the ID of a record, a UUID in its text form. The error wraps
// [privacy.ErrInvalid].
func ParseID(text string) (id [16]byte, err error) {
	var compact [32]byte
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, fmt.Errorf("parsing consent id: %w", privacy.ErrInvalid)
	}
	copy(compact[:], text[:8]+text[9:13]+text[14:18]+text[19:23]+text[24:])
	if _, err := hex.Decode(id[:], compact[:]); err != nil || id == ([16]byte{}) {
		return [16]byte{}, fmt.Errorf("parsing consent id: %w", privacy.ErrInvalid)
	}
	return id, nil
}

// FormatID is the text form of a record's ID.
func FormatID(id [16]byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
