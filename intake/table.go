package intake

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// The bounds of what one row of a [Table] may cost.
const (
	tableCell = 64 << 10
	tableRow  = 1 << 20
)

// Table reads chosen columns of a CSV or NDJSON file, compressed or not, in memory that does
// not grow with the file. It is for those who want rows and not people.
type Table struct {
	rows    rowSource
	in      io.ReadCloser
	hash    hash.Hash
	read    atomic.Int64
	at      []int
	cells   []string
	drained bool
	any     bool // whether a row was read
	first   *firstRow
}

// firstRow is what was read to see whether the columns are there, and is to be returned yet.
type firstRow struct {
	record []string
	line   int64
	reason Reason
	err    error
}

// OpenTable begins reading a file, which must have all of the columns: a CSV file in its header,
// NDJSON in its first row, where null is enough, for the object around it as well. A first row
// that does not read says nothing.
func OpenTable(ctx context.Context, source Source, columns []string) (*Table, error) {
	format, err := source.format()
	if err != nil {
		return nil, err
	}
	t := &Table{hash: sha256.New(), cells: make([]string, len(columns))}
	if t.in, err = source.open(ctx, t.hash, &t.read); err != nil {
		return nil, err
	}
	bounds := limits{cell: tableCell, row: tableRow}
	if format == "csv" {
		t.rows, err = newCSV(t.in, ',', bounds)
	} else {
		t.rows, err = newJSON(t.in, columns, bounds)
	}
	if err != nil {
		_ = t.in.Close()
		return nil, err
	}
	names := map[string]int{}
	for i, name := range t.rows.columns() {
		if _, twice := names[name]; twice && format == "csv" {
			i = -1 // which of the two is meant, nobody knows
		}
		names[name] = i
	}
	for _, name := range columns {
		i, ok := names[name]
		if !ok || i < 0 {
			_ = t.in.Close()
			return nil, noColumn(name)
		}
		t.at = append(t.at, i)
	}
	if err := t.peek(); err != nil {
		_ = t.in.Close()
		return nil, err
	}
	return t, nil
}

// peek reads the first row of NDJSON.
func (t *Table) peek() error {
	r, ok := t.rows.(*jsonReader)
	if !ok {
		return nil
	}
	f := &firstRow{}
	if f.record, f.line, f.reason, f.err = r.next(); f.err == nil && f.reason == "" {
		for i, name := range r.names {
			if !r.seen[i] && !r.empty[i] {
				return fmt.Errorf("reading the first row, line %d: %w", f.line, noColumn(name))
			}
		}
	}
	t.first = f
	return nil
}

// row returns the next row as it is stored.
func (t *Table) row() ([]string, int64, Reason, error) {
	if f := t.first; f != nil {
		t.first = nil
		return f.record, f.line, f.reason, f.err
	}
	return t.rows.next()
}

// ErrColumn is wrapped by the error about a file that does not have a column, or has it twice.
var ErrColumn = errors.New("is not there, or there twice")

// Next returns the cells of the next row, in the order of the columns, and on which line it
// begins. They are valid until the call after. Reason is set when the row does not read.
// io.EOF ends the file; an error that wraps [ErrColumn] ends NDJSON of which no row has one of
// the columns, if its first row did not say so.
func (t *Table) Next() (cells []string, line int64, reason Reason, err error) {
	record, line, reason, err := t.row()
	if errors.Is(err, io.EOF) {
		return nil, line, "", t.end()
	}
	if err != nil || reason != "" {
		return nil, line, reason, err
	}
	t.any = true
	for i, at := range t.at {
		t.cells[i] = record[at]
	}
	return t.cells, line, "", nil
}

// end is io.EOF, unless rows were read and none of them had one of the columns: NDJSON has no
// header in which a name that is spelled wrong would be missed.
func (t *Table) end() error {
	if r, ok := t.rows.(*jsonReader); ok && t.any {
		if i := slices.Index(r.seen, false); i >= 0 {
			return noColumn(r.names[i])
		}
	}
	return io.EOF
}

func noColumn(name string) error {
	return fmt.Errorf("finding columns: %q %w: %w", name, ErrColumn, privacy.ErrInvalid)
}

// Read is how many bytes of the file have been read.
func (t *Table) Read() int64 { return t.read.Load() }

// Digest is the SHA-256 of the file as it is stored; it reads what is left of it.
func (t *Table) Digest() ([sha256.Size]byte, error) {
	if !t.drained {
		if _, err := io.Copy(io.Discard, t.in); err != nil {
			return [sha256.Size]byte{}, fmt.Errorf("reading input: %w", err)
		}
		t.drained = true
	}
	return [sha256.Size]byte(t.hash.Sum(nil)), nil
}

// Close ends reading.
func (t *Table) Close() error { return t.in.Close() }
