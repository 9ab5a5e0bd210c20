package gate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// exposureVersion is the first byte of a ledger in its stored form.
const exposureVersion = 1

// Limits of the stored form. A recipient is never told more than the catalogue has
// contributors, so a longer ledger is not one of ours.
const (
	maxExposures   = 4096
	maxExposureKey = 512
)

// exposure is one thing that a recipient was told and that points to a protected
// inference.
type exposure struct {
	// key is the contributor, as in item.key. Weights are not stored: those of the
	// policy revision that decides count.
	key string
	// day is when it was last recorded, in days since 1970-01-01 UTC.
	day uint64
}

// ledger is everything that one recipient was told about one person, as far as it
// points to a protected inference, in the order of keys. The newest row holds all of
// it, so a query reads one row.
type ledger []exposure

// dayOf returns the day number of t.
func dayOf(t time.Time) uint64 { return uint64(max(0, t.Unix()) / 86400) }

// parseLedger reads the stored form. It returns an error wrapping
// [privacy.ErrDamaged] for anything that append does not write.
func parseLedger(b []byte) (ledger, error) {
	damaged := fmt.Errorf("parsing exposure ledger: %w", privacy.ErrDamaged)
	if len(b) == 0 || b[0] != exposureVersion {
		return nil, damaged
	}
	count, b, ok := uvarint(b[1:])
	if !ok || count > maxExposures {
		return nil, damaged
	}
	l := make(ledger, 0, count)
	for range count {
		var length, day uint64
		if length, b, ok = uvarint(b); !ok || length == 0 || length > maxExposureKey || uint64(len(b)) < length {
			return nil, damaged
		}
		key := string(b[:length])
		if day, b, ok = uvarint(b[length:]); !ok {
			return nil, damaged
		}
		if n := len(l); n > 0 && l[n-1].key >= key {
			return nil, damaged
		}
		l = append(l, exposure{key, day})
	}
	if len(b) != 0 {
		return nil, damaged
	}
	return l, nil
}

// append writes the stored form.
func (l ledger) append(b []byte) []byte {
	b = append(b, exposureVersion)
	b = binary.AppendUvarint(b, uint64(len(l)))
	for _, e := range l {
		b = binary.AppendUvarint(b, uint64(len(e.key)))
		b = append(b, e.key...)
		b = binary.AppendUvarint(b, e.day)
	}
	return b
}

// find returns the place of key.
func (l ledger) find(key string) (int, bool) {
	return slices.BinarySearchFunc(l, key, func(e exposure, key string) int { return strings.Compare(e.key, key) })
}

// since returns the part of the ledger recorded on day or later.
func (l ledger) since(day uint64) ledger {
	if !slices.ContainsFunc(l, func(e exposure) bool { return e.day < day }) {
		return l
	}
	return slices.DeleteFunc(slices.Clone(l), func(e exposure) bool { return e.day < day })
}

// with returns the ledger after keys were told on day.
func (l ledger) with(keys []string, day uint64) ledger {
	next := slices.Clone(l)
	for _, key := range keys {
		if i, found := next.find(key); found {
			next[i].day = max(next[i].day, day)
		} else {
			next = slices.Insert(next, i, exposure{key, day})
		}
	}
	return next
}

// uvarint reads one minimal number from the front of b.
func uvarint(b []byte) (uint64, []byte, bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
