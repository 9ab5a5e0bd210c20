package archive

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/mahrem/mahrem/privacy"
)

// recordVersion is the first byte of a record.
const recordVersion = 1

// record is what is sealed of one pair: the canonical facts and the canonical plan.
type record struct {
	facts []byte
	// plan is empty if the policies came to none.
	plan []byte
}

// append appends version ‖ uvarint length of the facts ‖ facts ‖ plan.
func (r *record) append(b []byte) []byte {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(len(r.facts)))
	b = append(b, r.facts...)
	return append(b, r.plan...)
}

// parseRecord reads what append wrote. The error wraps [privacy.ErrDamaged].
func parseRecord(b []byte) (record, error) {
	if len(b) < 2 || b[0] != recordVersion {
		return record{}, fmt.Errorf("reading record of a decision: version: %w", privacy.ErrDamaged)
	}
	length, n := binary.Uvarint(b[1:])
	rest := b[1:]
	// One length has one form: the last byte of a longer one would be zero.
	if n <= 0 || n > 1 && rest[n-1] == 0 || length > uint64(len(rest)-n) {
		return record{}, fmt.Errorf("reading record of a decision: length: %w", privacy.ErrDamaged)
	}
	rest = rest[n:]
	return record{facts: rest[:length], plan: rest[length:]}, nil
}

// decidedLabel binds a sealed record to its row.
func decidedLabel(pair Pair, planned bool) string {
	label := "decided/" + text(pair)
	if !planned {
		label += "/none"
	}
	return label
}

func text(pair Pair) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode(pair.Policy[:]) + "/" + encode(pair.Facts[:])
}
