package dsar

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// Holdings are what is stored about one person, sealed as it is.
type Holdings struct {
	Jurisdiction privacy.Jurisdiction
	// Wrapped is the wrapped key; nil if there is none (any more).
	Wrapped     []byte
	Records     []HeldRecord
	Streams     []HeldStream
	Identifiers []HeldIdentifier
	Consents    int64
	// LastConsent is when the last consent record was written; zero if there is none.
	LastConsent time.Time
	// Holds are the legal holds in force.
	Holds []HoldOn
	// Exposures and Cases are destroyed too; see [Plan] for why they are not in it.
	Exposures, Cases int64
}

// HeldRecord is a sealed record.
type HeldRecord struct {
	Slot    [16]byte
	Version int64
	Sealed  []byte
}

// HeldStream is what there is of a stream of events.
type HeldStream struct {
	Slot        [16]byte
	First, Last int64
	// LastVersion and LastEvents are those of the last chunk.
	LastVersion, LastEvents int64
	// Chunks, Events and Versions are those of all chunks together.
	Chunks, Events, Versions int64
}

// HeldIdentifier is an identifier.
type HeldIdentifier struct {
	Kind       privacy.IdentifierKind
	BlindIndex []byte
}

// Digest is the digest of the versions of everything that is held (docs/spec/plan.md). It
// is over the same few things however many records there are, so that it can be computed
// again while the person's row is locked.
func (h *Holdings) Digest() audit.Digest {
	var parts [][]byte
	add := func(list [][]byte) {
		slices.SortFunc(list, bytes.Compare)
		parts = append(parts, list...)
	}
	if h.Wrapped != nil {
		key := sha256.Sum256(h.Wrapped)
		parts = append(parts, key[:])
	} else {
		parts = append(parts, nil)
	}
	var records, streams, identifiers [][]byte
	for i := range h.Records {
		r := &h.Records[i]
		records = append(records, numbers(append([]byte{'r'}, r.Slot[:]...), r.Version))
	}
	for i := range h.Streams {
		s := &h.Streams[i]
		streams = append(streams, numbers(append([]byte{'s'}, s.Slot[:]...), s.First, s.Last, s.LastVersion, s.LastEvents))
	}
	for i := range h.Identifiers {
		part := append([]byte{'i'}, h.Identifiers[i].Kind...)
		identifiers = append(identifiers, append(append(part, 0), h.Identifiers[i].BlindIndex...))
	}
	add(records)
	add(streams)
	add(identifiers)
	var last int64
	if !h.LastConsent.IsZero() {
		last = h.LastConsent.UnixMicro()
	}
	parts = append(parts, numbers([]byte{'c'}, h.Consents, last))
	hash := sha256.New()
	hash.Write([]byte("mahrem/held/v1\x00"))
	for _, part := range parts {
		hash.Write(numbers(nil, int64(len(part))))
		hash.Write(part)
	}
	return audit.Digest(hash.Sum(nil))
}

// numbers appends each with 8 bytes, big endian.
func numbers(to []byte, list ...int64) []byte {
	for _, n := range list {
		to = binary.BigEndian.AppendUint64(to, uint64(n))
	}
	return to
}

// Compare says whether an order may still be carried out, by what is held now: [ErrHeld] if
// a hold on everything is in force, [ErrChanged] if anything is not as it was.
func (o *ShredOrder) Compare(now *Holdings) error {
	switch {
	case onEverything(now.Holds):
		return ErrHeld
	case now.Digest() != o.Held, !sameHolds(now.Holds, o.Holds):
		return ErrChanged
	}
	return nil
}

// onEverything reports whether one of the holds is on the whole person.
func onEverything(holds []HoldOn) bool {
	return slices.ContainsFunc(holds, func(h HoldOn) bool { return h.Scope == [16]byte{} })
}

// sameHolds reports whether two lists of partial holds are the same, in any order.
func sameHolds(a, b []HoldOn) bool {
	order := func(list []HoldOn) []HoldOn {
		list = slices.DeleteFunc(slices.Clone(list), func(h HoldOn) bool { return h.Scope == [16]byte{} })
		slices.SortFunc(list, func(x, y HoldOn) int {
			if c := bytes.Compare(x.Hold[:], y.Hold[:]); c != 0 {
				return c
			}
			return bytes.Compare(x.Scope[:], y.Scope[:])
		})
		return list
	}
	return slices.Equal(order(a), order(b))
}
