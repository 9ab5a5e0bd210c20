package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
)

// errEnd says that there are no more complete lines.
var errEnd = errors.New("end of ledger")

// scan reads records in order and checks each against the one before it.
type scan struct {
	reader *bufio.Reader
	seal   func(Hash) Tag
	head   Head
	offset int64 // of the next line
	long   []byte
}

func newScan(file io.ReaderAt, from, to int64, head Head, seal func(Hash) Tag) *scan {
	return &scan{
		reader: bufio.NewReaderSize(io.NewSectionReader(file, from, to-from), 256<<10),
		seal:   seal, head: head, offset: from,
	}
}

// next returns the next record, or errEnd. Other errors name the line.
func (s *scan) next() (Record, error) {
	line, err := s.line()
	if err != nil {
		return Record{}, err
	}
	record, err := parseLine(line, s.head.Hash, s.seal)
	if err == nil && record.Sequence != s.head.Sequence+1 {
		err = damaged("sequence")
	}
	if err != nil {
		return Record{}, fmt.Errorf("record %d: %w", s.head.Sequence+1, err)
	}
	s.head = Head{Sequence: record.Sequence, Hash: record.Hash}
	s.offset += int64(len(line))
	return record, nil
}

// line returns the next complete line. One without its end is none.
func (s *scan) line() ([]byte, error) {
	s.long = s.long[:0]
	for {
		part, err := s.reader.ReadSlice('\n')
		if err == nil && len(s.long) == 0 {
			return part, nil
		}
		s.long = append(s.long, part...)
		switch {
		case err == nil:
			return s.long, nil
		case errors.Is(err, io.EOF):
			return nil, errEnd
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("reading erasure ledger: %w", err)
		case len(s.long) > maxLine:
			return nil, fmt.Errorf("record %d: %w", s.head.Sequence+1, damaged("line too long"))
		}
	}
}

// Scan reads the whole ledger as it is now, checks every line, and hands each record to
// visit, whose error ends it. The slices of a record belong to the caller. An error that wraps
// [privacy.ErrDamaged] names the first line that is not what was written. progress, which may
// be nil, is told how many bytes are done.
func (l *Ledger) Scan(ctx context.Context, visit func(Record) error, progress func(done, total int64)) error {
	info, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("looking at erasure ledger: %w", err)
	}
	header := make([]byte, headerSize)
	if _, err := l.file.ReadAt(header, 0); err != nil {
		return fmt.Errorf("reading erasure ledger: %w", err)
	}
	_, first, err := parseHeader(header, l.config.Seal)
	if err != nil {
		return fmt.Errorf("erasure ledger %s: first line: %w", l.path, err)
	}
	reading := newScan(l.file, int64(headerSize), info.Size(), Head{Hash: first}, l.config.Seal)
	for {
		record, err := reading.next()
		if errors.Is(err, errEnd) {
			break
		}
		if err != nil {
			return fmt.Errorf("erasure ledger %s: %w", l.path, err)
		}
		if err := visit(record); err != nil {
			return err
		}
		if record.Sequence%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if progress != nil {
				progress(reading.offset, info.Size())
			}
		}
	}
	if progress != nil {
		progress(reading.offset, info.Size())
	}
	return nil
}
