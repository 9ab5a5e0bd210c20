package consent

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// Commitment is what the log holds of one record. It gives nothing of the record away to
// somebody who has not the record with its salt, and no other record has it.
type Commitment [32]byte

// The domains of the digests, so that none of them can be taken for another.
const (
	recordDomain = "mahrem/consent/record/v1\x00"
	batchDomain  = "mahrem/consent/batch/v1\x00"
	erasedDomain = "mahrem/consent/erased/v1\x00"
)

// Commitment returns the record's, by docs/spec/consent.md: SHA-256 of its canonical bytes.
func (r *Record) Commitment() Commitment {
	var buffer [768]byte
	return sha256.Sum256(r.AppendCanonical(buffer[:0]))
}

// AppendCanonical appends the canonical bytes of a stored record to dst: the domain, salt and
// ids, then every field in a fixed order, each text and list with its length before it, times
// in microseconds. StaleAt is no part of them: it is not of the record.
func (r *Record) AppendCanonical(dst []byte) []byte {
	dst = append(dst, recordDomain...)
	dst = append(dst, r.Salt[:]...)
	dst = append(dst, r.ID[:]...)
	id := [16]byte(r.DataSubject)
	dst = append(dst, id[:]...)
	dst = appendText(dst, r.Purpose)
	dst = appendText(dst, r.Channel)
	dst = appendText(dst, r.Action)
	dst = appendText(dst, r.Basis)
	var flags byte
	for i, set := range [...]bool{r.Explicit, r.Incentive, r.GuardianVerified} {
		if set {
			flags |= 1 << i
		}
	}
	dst = append(dst, flags)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Categories)))
	for _, category := range r.Categories {
		dst = appendText(dst, category)
	}
	dst = appendText(dst, r.NoticeVersion)
	dst = appendText(dst, r.Source)
	dst = appendText(dst, r.Actor)
	dst = appendText(dst, r.Language)
	dst = appendText(dst, r.EvidenceRef)
	dst = appendText(dst, r.Jurisdiction)
	dst = appendTime(dst, r.EffectiveAt)
	dst = appendTime(dst, r.RecordedAt)
	if r.ValidUntil.IsZero() {
		return append(dst, 0)
	}
	return appendTime(append(dst, 1), r.ValidUntil)
}

func appendText[T ~string](dst []byte, text T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...)
}

func appendTime(dst []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(t.UnixMicro()))
}

// RowsDigest is what the log holds of records that were added or erased together, by their
// commitments in order.
type RowsDigest struct{ hash hash.Hash }

// NewBatchDigest begins the digest of a batch.
func NewBatchDigest() RowsDigest { return beginDigest(batchDomain) }

// NewErasedDigest begins the digest of records that were erased together. Their commitments
// must be added sorted, so that it says nothing about their order.
func NewErasedDigest() RowsDigest { return beginDigest(erasedDomain) }

func beginDigest(domain string) RowsDigest {
	d := RowsDigest{sha256.New()}
	_, _ = d.hash.Write([]byte(domain))
	return d
}

// Add adds the next commitment.
func (d RowsDigest) Add(c Commitment) { _, _ = d.hash.Write(c[:]) }

// Sum is the digest of all that were added.
func (d RowsDigest) Sum() audit.Digest { return audit.Digest(d.hash.Sum(nil)) }

// SameContent reports whether b is what a caller would send who repeats the change that a
// became: all that the caller says is the same. What the store has added does not count, nor
// does the time of b if the caller left it to the store.
func (a *Record) SameContent(b *Record) bool {
	actor := func(r *Record) Actor {
		if r.Actor == "" {
			return ByDataSubject
		}
		return r.Actor
	}
	return a.ID == b.ID && a.DataSubject == b.DataSubject && a.Purpose == b.Purpose && a.Channel == b.Channel &&
		a.Action == b.Action && a.Basis == b.Basis && a.Explicit == b.Explicit && slices.Equal(a.Categories, b.Categories) &&
		a.NoticeVersion == b.NoticeVersion && a.Source == b.Source && a.Incentive == b.Incentive && actor(a) == actor(b) &&
		a.GuardianVerified == b.GuardianVerified && a.Language == b.Language && a.EvidenceRef == b.EvidenceRef &&
		a.Jurisdiction == b.Jurisdiction && sameMoment(a.ValidUntil, b.ValidUntil) && a.wasDated(b.EffectiveAt)
}

// wasDated reports whether a store gives the stored record a its date when asked for this one.
func (a *Record) wasDated(asked time.Time) bool {
	// A date ahead of the store's clock became that of the clock.
	return asked.IsZero() || sameMoment(a.EffectiveAt, asked) || a.EffectiveAt.Equal(a.RecordedAt) && asked.After(a.EffectiveAt)
}

// sameMoment compares as far as a store keeps times.
func sameMoment(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && (a.IsZero() || a.UnixMicro() == b.UnixMicro())
}

// CompareCommitments orders commitments as [NewErasedDigest] wants them.
func CompareCommitments(a, b Commitment) int { return bytes.Compare(a[:], b[:]) }
