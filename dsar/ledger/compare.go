package ledger

import (
	"context"
	"fmt"
)

// Known are the lines that a database has carried out.
type Known interface {
	// Extent returns how many there are, and the last of them.
	Extent(ctx context.Context) (count uint64, last Head, err error)
	// Lines returns the first ones after a sequence, in order; none at the end.
	Lines(ctx context.Context, after uint64) ([]Head, error)
}

// Behind returns how many lines of the ledger a database has not carried out; zero is what
// is to be expected, and quick to find out. The error wraps [privacy.ErrDamaged] if the
// ledger lacks a line that the database knows: it was cut, or is another one.
func (l *Ledger) Behind(ctx context.Context, known Known) (uint64, error) {
	// The database first: a line is in the ledger before it is there.
	count, last, err := known.Extent(ctx)
	if err != nil {
		return 0, err
	}
	head, err := l.Head(ctx)
	if err != nil {
		return 0, err
	}
	if count == head.Sequence && (count == 0 || last == head) {
		return 0, nil
	}
	var behind uint64
	err = l.Missing(ctx, known, func(Record) error { behind++; return nil }, nil)
	return behind, err
}

// Missing hands each record that a database has not carried out to visit, in order, whose
// error ends it. It reads and checks the whole ledger. Errors are those of [Ledger.Scan]
// and [Ledger.Behind].
func (l *Ledger) Missing(ctx context.Context, known Known, visit func(Record) error, progress func(done, total int64)) error {
	return l.compare(ctx, known, func(record Record, missing bool) error {
		if !missing {
			return nil
		}
		return visit(record)
	}, progress)
}

// compare hands every record to visit, and whether the database lacks it.
func (l *Ledger) compare(ctx context.Context, known Known, visit func(r Record, missing bool) error, progress func(done, total int64)) error {
	// As in Behind, the database must not know more than what is read of the ledger.
	_, last, err := known.Extent(ctx)
	if err != nil {
		return err
	}
	lines := merge{ctx: ctx, known: known}
	var end uint64
	err = l.Scan(ctx, func(record Record) error {
		end = record.Sequence
		there, err := lines.has(Head{Sequence: record.Sequence, Hash: record.Hash})
		if err != nil {
			return err
		}
		return visit(record, !there)
	}, progress)
	if err != nil {
		return err
	}
	if last.Sequence > end {
		return fmt.Errorf("erasure ledger %s ends with record %d, but the database knows record %d; "+
			"bring the whole file back from a copy: %w", l.path, end, last.Sequence, damaged("the ledger was cut"))
	}
	return nil
}

// merge walks along the lines that a database knows.
type merge struct {
	ctx   context.Context
	known Known
	page  []Head
	after uint64
	end   bool
}

// has reports whether the database knows a line. It is asked in order.
func (m *merge) has(line Head) (bool, error) {
	for {
		for len(m.page) > 0 && m.page[0].Sequence < line.Sequence {
			m.page = m.page[1:]
		}
		switch {
		case len(m.page) > 0 && m.page[0].Sequence > line.Sequence:
			return false, nil
		case len(m.page) > 0 && m.page[0].Hash != line.Hash:
			return false, fmt.Errorf("record %d of the erasure ledger is not the one that the database knows: %w",
				line.Sequence, damaged("the ledger is another one"))
		case len(m.page) > 0:
			return true, nil
		case m.end:
			return false, nil
		}
		page, err := m.known.Lines(m.ctx, max(m.after, line.Sequence-1))
		if err != nil {
			return false, err
		}
		m.page, m.end = page, len(page) == 0
		if !m.end {
			m.after = page[len(page)-1].Sequence
		}
	}
}
