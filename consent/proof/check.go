package proof

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
)

// Source is the ledger and the log, as they were at one moment. Each method streams what it
// has and passes on the error of each.
type Source interface {
	// Count is about how many names there are that the log must hold.
	Count(ctx context.Context) (uint64, error)
	// Begin is when the oldest entry was made that is still there; zero: none was dropped.
	Begin(ctx context.Context) (time.Time, error)
	// Entries are the entries about consent.
	Entries(ctx context.Context, each func(index uint64, entry *audit.Entry) error) error
	// Rows are the rows of the ledger whose commitments are in the span.
	Rows(ctx context.Context, in Span, each func(row Row) error) error
	// Bare counts the rows without a commitment.
	Bare(ctx context.Context) (uint64, error)
	// Gone are the erased rows whose entries' digests are in the span.
	Gone(ctx context.Context, in Span, each func(gone Gone) error) error
	// Batches are those whose digests are in the span.
	Batches(ctx context.Context, in Span, each func(batch Batch) error) error
	// Members are all rows of batches, also those that are gone, by batch and position, and
	// each batch itself.
	Members(ctx context.Context, each func(member Member) error) error
	// Erasures are what is left of erased rows, by digest of the erasure and commitment.
	Erasures(ctx context.Context, each func(digest audit.Digest, c consent.Commitment) error) error
}

// Row is one row with what is stored as its commitment.
type Row struct {
	Record     consent.Record
	Commitment consent.Commitment
	InBatch    bool
}

// Gone is what is left of one erased row.
type Gone struct {
	// Entry is what the entry of the row commits to: the row, or its batch.
	Entry   [32]byte
	InBatch bool
	// Erasure is what the entry of the erasure commits to.
	Erasure audit.Digest
}

// Batch is rows that have one entry.
type Batch struct {
	ID         [16]byte
	Digest     audit.Digest
	Rows       int
	RecordedAt time.Time
}

// Member is the place of a row in a batch, with the digest that the batch should have; zero
// if there is no such batch.
type Member struct {
	Batch      [16]byte
	Itself     bool // the batch, and no row of it
	Position   int
	Commitment consent.Commitment
	Digest     audit.Digest
	Rows       int
}

// Span is a part of all digests, by their first two bytes.
type Span struct{ From, To int } // To is not in it

// Bounds are the digests from which on and before which those of the span are; nil: no bound.
func (s Span) Bounds() (from, to []byte) {
	if from = []byte{}; s.From > 0 { // what is shorter than a digest is in the first span
		from = binary.BigEndian.AppendUint16(from, uint16(s.From))
	}
	if s.To < 1<<16 {
		to = binary.BigEndian.AppendUint16(nil, uint16(s.To))
	}
	return from, to
}

func (s Span) has(digest []byte) bool {
	n := int(binary.BigEndian.Uint16(digest))
	return n >= s.From && n < s.To
}

// namesAtOnce bounds what is held in memory: a ledger with more is gone through in spans.
const namesAtOnce = 1 << 19

// beginSlack is how far the time of a row may be from that of its entry, where the log begins
// later: the one is the database's, the other that of whoever wrote the entry.
const beginSlack = 10 * time.Minute

// Check compares the ledger with the log, in flat memory. An error means that it could not be
// done. Progress may be nil.
func Check(ctx context.Context, source Source, progress func(done, total uint64)) (Report, error) {
	c := checker{source: source, progress: progress}
	if err := c.run(ctx); err != nil {
		return Report{}, fmt.Errorf("comparing the consent ledger with the log: %w", err)
	}
	slices.SortStableFunc(c.report.Damages, func(a, b Damage) int { return cmp.Compare(a.Kind, b.Kind) })
	return c.report, nil
}

type checker struct {
	source   Source
	progress func(done, total uint64)
	begin    time.Time
	total    uint64
	report   Report
	names    []name
	// erased are the erasures that the log has entries of. Only a log that begins later is
	// asked for them.
	erased map[audit.Digest]bool
}

// name is what one entry commits to.
type name struct {
	kind   nameKind
	digest [32]byte
	index  uint64
	found  bool
}

type nameKind uint8

const (
	nameRow nameKind = iota
	nameBatch
	nameErasure
)

func (c *checker) run(ctx context.Context) (err error) {
	if c.begin, err = c.source.Begin(ctx); err != nil {
		return err
	}
	if c.total, err = c.source.Count(ctx); err != nil {
		return err
	}
	bare, err := c.source.Bare(ctx)
	if err != nil {
		return err
	}
	if c.report.Bare = bare; bare > 0 {
		c.report.found(RowBare, nil, "rows without a commitment: %d; nothing shows when they came or that they were not changed", bare)
	}
	if err := c.members(ctx); err != nil {
		return err
	}
	if err := c.erasures(ctx); err != nil {
		return err
	}
	if !c.begin.IsZero() {
		if err := c.findErased(ctx); err != nil {
			return err
		}
	}
	passes := int(c.total/namesAtOnce) + 1
	for pass := range passes {
		span := Span{pass << 16 / passes, (pass + 1) << 16 / passes}
		if err := c.span(ctx, span, pass == 0); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) findErased(ctx context.Context) error {
	c.erased = map[audit.Digest]bool{}
	return c.source.Entries(ctx, func(_ uint64, e *audit.Entry) error {
		if kind, names := namedBy(e); names && kind == nameErasure {
			c.erased[e.List] = true
		}
		return nil
	})
}

// gone finds the entry for what is left of a row. Entries are dropped from the oldest on, and
// a row is recorded before it is erased: so an erasure whose entry may be in the archive has
// only rows whose entries are there too.
func (c *checker) gone(g Gone) error {
	if _, found := c.find(kindOf(g), g.Entry); found && c.erased != nil && !c.erased[g.Erasure] {
		c.report.found(TombstoneUnbound, nil, "what is left of an erased row (%s), of an erasure that no entry commits to", hex.EncodeToString(g.Entry[:8]))
	}
	if g.InBatch {
		return nil // members has seen it
	}
	return c.take(nameRow, g.Entry, TombstoneUnbound, "what is left of an erased row", time.Time{}, !c.begin.IsZero())
}

func kindOf(g Gone) nameKind {
	if g.InBatch {
		return nameBatch
	}
	return nameRow
}

func (c *checker) find(kind nameKind, digest [32]byte) (int, bool) {
	return slices.BinarySearchFunc(c.names, name{kind: kind, digest: digest}, compareNames)
}

// span compares the names in one part of all digests.
func (c *checker) span(ctx context.Context, in Span, first bool) error {
	c.names = c.names[:0]
	err := c.source.Entries(ctx, func(index uint64, e *audit.Entry) error {
		kind, names := namedBy(e)
		if !names {
			return nil
		}
		if e.List == (audit.Digest{}) {
			if first {
				c.report.Nameless++
			}
			return nil
		}
		if in.has(e.List[:]) {
			c.names = append(c.names, name{kind: kind, digest: e.List, index: index})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(c.names, compareNames)
	for i := 1; i < len(c.names); i++ {
		if c.names[i].kind == c.names[i-1].kind && c.names[i].digest == c.names[i-1].digest {
			c.report.found(EntryRepeated, &c.names[i].index, "names what entry %d names", c.names[i-1].index)
		}
	}
	if err := c.source.Rows(ctx, in, c.row); err != nil {
		return err
	}
	if err := c.source.Gone(ctx, in, c.gone); err != nil {
		return err
	}
	if err := c.source.Batches(ctx, in, func(b Batch) error {
		c.report.Batches++
		return c.take(nameBatch, b.Digest, BatchUnbound, "a batch", b.RecordedAt, false)
	}); err != nil {
		return err
	}
	var last audit.Digest
	if err := c.source.Erasures(ctx, func(digest audit.Digest, _ consent.Commitment) error {
		if digest == last || !in.has(digest[:]) {
			return nil
		}
		last = digest
		return c.take(nameErasure, digest, TombstoneUnbound, "what an erasure has left", time.Time{}, !c.begin.IsZero())
	}); err != nil {
		return err
	}
	for i := range c.names {
		if n := &c.names[i]; !n.found {
			c.report.found(missing[n.kind], &n.index, "%s", hex.EncodeToString(n.digest[:8]))
		}
	}
	return nil
}

func (c *checker) row(r Row) error {
	c.report.Rows++
	if c.progress != nil && c.report.Rows%4096 == 0 {
		c.progress(min(c.report.Rows, c.total), c.total)
	}
	if got := r.Record.Commitment(); got != r.Commitment {
		c.report.found(RowAltered, nil, "recorded %s, committed to as %s", r.Record.RecordedAt.UTC().Format(time.RFC3339), hex.EncodeToString(r.Commitment[:8]))
	}
	if r.InBatch {
		return nil // members has seen it
	}
	return c.take(nameRow, r.Commitment, RowUnbound, "a row", r.Record.RecordedAt, false)
}

// take finds the entry for something in the ledger.
func (c *checker) take(kind nameKind, digest [32]byte, damage DamageKind, what string, at time.Time, mayBeArchived bool) error {
	i, found := c.find(kind, digest)
	switch {
	case found && c.names[i].found:
		c.report.found(RowRepeated, &c.names[i].index, "%s is there twice", what)
	case found:
		c.names[i].found = true
	case mayBeArchived || !c.begin.IsZero() && !at.IsZero() && at.Before(c.begin.Add(beginSlack)):
		c.report.Archived++
	default:
		c.report.found(damage, nil, "%s (%s) that no entry commits to", what, hex.EncodeToString(digest[:8]))
	}
	return nil
}

func compareNames(a, b name) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), bytes.Compare(a.digest[:], b.digest[:]))
}

// members checks that the rows of each batch, with those that are gone, are the ones that its
// digest is over.
func (c *checker) members(ctx context.Context) error {
	var at Member
	count := -1
	digest := consent.NewBatchDigest()
	end := func() {
		switch {
		case count < 0:
		case at.Digest == (audit.Digest{}):
			c.report.found(BatchAltered, nil, "%d rows name a batch that is not there", count)
		case count != at.Rows || digest.Sum() != at.Digest:
			c.report.found(BatchAltered, nil, "batch %s has %d rows of %d, or others than it had", hex.EncodeToString(at.Digest[:8]), count, at.Rows)
		}
	}
	err := c.source.Members(ctx, func(m Member) error {
		if count < 0 || m.Batch != at.Batch {
			end()
			at, count, digest = m, 0, consent.NewBatchDigest()
		}
		if m.Itself {
			return nil
		}
		if m.Position != count {
			digest.Add(consent.Commitment{}) // a gap, which no digest is over
		}
		count++
		digest.Add(m.Commitment)
		return nil
	})
	end()
	return err
}

// erasures checks that what each erasure has left is what its digest is over.
func (c *checker) erasures(ctx context.Context) error {
	var at audit.Digest
	any := false
	digest := consent.NewErasedDigest()
	end := func() {
		if any && digest.Sum() != at {
			c.report.found(TombstoneAltered, nil, "what erasure %s has left is not what it was", hex.EncodeToString(at[:8]))
		}
	}
	err := c.source.Erasures(ctx, func(erasure audit.Digest, g consent.Commitment) error {
		if !any || erasure != at {
			end()
			at, any, digest = erasure, true, consent.NewErasedDigest()
		}
		digest.Add(g)
		c.report.Gone++
		return nil
	})
	end()
	return err
}

// namedBy says what an entry of that kind commits to.
func namedBy(e *audit.Entry) (kind nameKind, names bool) {
	switch e.Kind {
	case audit.ConsentImported:
		return nameBatch, true
	case audit.ConsentErased:
		return nameErasure, true
	case audit.ConsentGranted, audit.ConsentRenewed, audit.ConsentRefused, audit.ConsentWithdrawn, audit.ConsentExpired,
		audit.ConsentObjected, audit.ConsentGuardianGranted, audit.ConsentGuardianWithdrawn:
		return nameRow, true
	}
	return 0, false
}
