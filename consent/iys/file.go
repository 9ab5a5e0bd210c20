package iys

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// maxRow bounds one row of a change file. No field of one is longer than an address.
const maxRow = 16 << 10

// FileReader reads a change file: a header, then one movement a row, separated by commas,
// semicolons or tabs. It holds one row at a time.
type FileReader struct {
	in        *bufio.Reader
	separator byte
	// place is the column of each field; -1: the file has none.
	place [columnCount]int
	width int
	row   int64
	cells [][]byte
}

// The columns, by the names that the registry's file gives them.
const (
	columnCreated = iota
	columnTransaction
	columnRecipient
	columnRecipientType
	columnType
	columnStatus
	columnDate
	columnSource
	columnCount
)

var columnNames = [columnCount]string{
	"creationdate", "transactionid", "recipient", "recipienttype", "type", "status", "consentdate", "source",
}

// NewFileReader reads the header. The error wraps [privacy.ErrInvalid] when a column is
// missing that every movement needs.
func NewFileReader(r io.Reader) (*FileReader, error) {
	f := &FileReader{in: bufio.NewReaderSize(r, maxRow)}
	header, err := f.line()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading a change file: it is empty: %w", privacy.ErrInvalid)
	}
	if err != nil {
		return nil, err
	}
	header = bytes.TrimPrefix(header, []byte("\ufeff"))
	f.separator = ','
	for _, candidate := range []byte{';', '\t', ','} {
		if bytes.IndexByte(header, candidate) >= 0 {
			f.separator = candidate
			break
		}
	}
	if !f.split(header) {
		return nil, fmt.Errorf("reading a change file: the header is damaged: %w", privacy.ErrInvalid)
	}
	for i := range f.place {
		f.place[i] = -1
	}
	f.width = len(f.cells)
	for i, cell := range f.cells {
		for column, name := range columnNames {
			if !strings.EqualFold(strings.TrimSpace(string(cell)), name) {
				continue
			}
			if f.place[column] >= 0 {
				return nil, fmt.Errorf("reading a change file: the column %s stands twice: %w", name, privacy.ErrInvalid)
			}
			f.place[column] = i
		}
	}
	for _, column := range []int{columnRecipient, columnRecipientType, columnType, columnStatus, columnDate} {
		if f.place[column] < 0 {
			return nil, fmt.Errorf("reading a change file: there is no column %s: %w", columnNames[column], privacy.ErrInvalid)
		}
	}
	return f, nil
}

// Row is the number of the row that was read last, without the header.
func (f *FileReader) Row() int64 { return f.row }

// Next returns the next movement, or the reason why its row is none; io.EOF at the end.
// Other errors wrap [privacy.ErrInvalid] or come from the reader below.
func (f *FileReader) Next() (Movement, Reason, error) {
	for {
		line, err := f.line()
		if errors.Is(err, errLongRow) {
			f.row++
			return Movement{}, BadRow, f.skip()
		}
		if err != nil {
			return Movement{}, "", err
		}
		if len(line) == 0 {
			continue
		}
		f.row++
		if !utf8.Valid(line) || !f.split(line) || len(f.cells) != f.width {
			return Movement{}, BadRow, nil
		}
		w := wire{
			CreationDate: f.cell(columnCreated), TransactionID: f.cell(columnTransaction), Recipient: f.cell(columnRecipient),
			RecipientType: RecipientType(f.cell(columnRecipientType)), Type: Type(f.cell(columnType)),
			Status: Status(f.cell(columnStatus)), ConsentDate: f.cell(columnDate), Source: Source(f.cell(columnSource)),
		}
		m, reason := w.movement()
		return m, reason, nil
	}
}

func (f *FileReader) cell(column int) string {
	if f.place[column] < 0 {
		return ""
	}
	return string(bytes.TrimSpace(f.cells[f.place[column]]))
}

// errLongRow says that a row does not fit.
var errLongRow = errors.New("row is too long")

// line returns a row without its end.
func (f *FileReader) line() ([]byte, error) {
	line, err := f.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("reading a change file: %w: %w", errLongRow, privacy.ErrInvalid)
	case errors.Is(err, io.EOF) && len(line) > 0:
	case err != nil:
		return nil, err
	}
	return bytes.TrimRight(line, "\r\n"), nil
}

// skip reads on to the end of a row that does not fit.
func (f *FileReader) skip() error {
	for {
		_, err := f.in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if errors.Is(err, io.EOF) {
			return nil // the next call says so
		}
		return err
	}
}

// split takes a row apart into cells. A cell may stand in quotation marks, in which a
// doubled one stands for one; a cell cannot go over several rows.
func (f *FileReader) split(line []byte) bool {
	f.cells = f.cells[:0]
	for {
		if len(line) > 0 && line[0] == '"' {
			var cell []byte
			rest := line[1:]
			for {
				i := bytes.IndexByte(rest, '"')
				if i < 0 {
					return false
				}
				cell = append(cell, rest[:i]...)
				rest = rest[i+1:]
				if len(rest) == 0 || rest[0] != '"' {
					break
				}
				cell, rest = append(cell, '"'), rest[1:]
			}
			f.cells = append(f.cells, cell)
			if len(rest) == 0 {
				return true
			}
			if rest[0] != f.separator {
				return false
			}
			line = rest[1:]
			continue
		}
		i := bytes.IndexByte(line, f.separator)
		if i < 0 {
			f.cells = append(f.cells, line)
			return true
		}
		f.cells = append(f.cells, line[:i])
		line = line[i+1:]
	}
}
