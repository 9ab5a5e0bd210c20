package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mahrem/mahrem/privacy"
)

// limits bound what one row may cost.
type limits struct {
	cell int
	row  int
}

// csvReader reads RFC 4180 rows. A row that is not well formed is reported with a
// reason, and reading goes on at the next line.
type csvReader struct {
	lines  *lines
	limits limits
	comma  byte
	header []string
	record []string // reused; the strings in it are not
}

// newCSV reads the header, which must be sound: without it no row means anything.
func newCSV(in io.Reader, comma byte, limits limits) (*csvReader, error) {
	r := &csvReader{lines: newLines(in, limits.row), limits: limits, comma: comma}
	if err := r.lines.skipBOM(); err != nil {
		return nil, err
	}
	header, _, reason, err := r.next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("reading header: the file is empty: %w", privacy.ErrInvalid)
	case err != nil:
		return nil, err
	case reason != "":
		return nil, fmt.Errorf("reading header: %s: %w", reason, privacy.ErrInvalid)
	}
	r.header = append([]string(nil), header...)
	return r, nil
}

// next returns the next row, valid until the call after. Reason is set when the row was
// turned away. Empty lines are passed over. io.EOF ends the stream.
func (r *csvReader) next() (record []string, number int64, reason Reason, err error) {
	for {
		number = r.lines.line
		row := r.lines.rest()
		end := bytes.IndexByte(row, '\n')
		atEnd := end < 0 && r.lines.eof
		switch {
		case atEnd && r.lines.err != nil:
			return nil, number, "", r.lines.err
		case atEnd && len(bytes.TrimSuffix(row, carriageReturn)) == 0:
			return nil, number, "", io.EOF
		case end < 0 && r.lines.full():
			return nil, number, r.tooLarge(row), r.lines.skipLine()
		case end < 0 && !atEnd:
			if err := r.lines.more(); err != nil {
				return nil, number, "", err
			}
			continue
		case end == 0 || end == 1 && row[0] == '\r':
			r.lines.consume(end + 1)
			continue
		}
		first := row
		if end >= 0 {
			first = row[:end]
		}
		if len(first) > r.limits.row {
			r.take(end, len(row))
			return nil, number, r.tooLarge(first), nil
		}
		if bytes.IndexByte(first, '"') < 0 {
			reason := r.plain(bytes.TrimSuffix(first, carriageReturn))
			r.take(end, len(row))
			return r.record, number, reason, nil
		}
		length, outcome := scanQuoted(row, r.comma, r.lines.eof)
		switch {
		case outcome == rowOpen && !r.lines.full() && !r.lines.eof:
			if err := r.lines.more(); err != nil {
				return nil, number, "", err
			}
			continue
		case outcome == rowOpen && r.lines.full():
			r.take(end, len(row))
			return nil, number, r.tooLarge(row), nil
		case outcome != rowComplete:
			r.take(end, len(row))
			return nil, number, BadQuotes, nil
		case length > r.limits.row:
			r.lines.consume(length)
			return nil, number, RowTooLarge, nil
		}
		reason := r.quoted(row[:length])
		r.lines.consume(length)
		return r.record, number, reason, nil
	}
}

// take consumes up to and with the line end at end, or everything if there is none.
func (r *csvReader) take(end, all int) {
	if end >= 0 {
		r.lines.consume(end + 1)
		return
	}
	r.lines.consume(all)
}

// tooLarge tells one huge cell from many.
func (r *csvReader) tooLarge(row []byte) Reason {
	for cell := range bytes.SplitSeq(row, []byte{r.comma}) {
		if len(cell) > r.limits.cell {
			return CellTooLarge
		}
	}
	return RowTooLarge
}

// plain splits a row without quotes.
func (r *csvReader) plain(row []byte) Reason {
	if reason := checkBytes(row); reason != "" {
		return reason
	}
	text := string(row)
	r.record = r.record[:0]
	for {
		i := strings.IndexByte(text, r.comma)
		if i < 0 {
			break
		}
		r.record = append(r.record, text[:i])
		text = text[i+1:]
	}
	r.record = append(r.record, text)
	return r.checkRecord()
}

// quoted splits a row that scanQuoted found complete.
func (r *csvReader) quoted(row []byte) Reason {
	row = bytes.TrimSuffix(bytes.TrimSuffix(row, newline), carriageReturn)
	if reason := checkBytes(row); reason != "" {
		return reason
	}
	text := string(row)
	r.record = r.record[:0]
	for {
		var cell string
		if text != "" && text[0] == '"' {
			end, escaped := 1, false
			for text[end] != '"' || end+1 < len(text) && text[end+1] == '"' {
				if text[end] == '"' {
					escaped = true
					end++
				}
				end++
			}
			cell = text[1:end]
			if escaped {
				cell = strings.ReplaceAll(cell, `""`, `"`)
			}
			text = text[end+1:]
		} else {
			end := strings.IndexByte(text, r.comma)
			if end < 0 {
				end = len(text)
			}
			cell, text = text[:end], text[end:]
		}
		r.record = append(r.record, cell)
		if text == "" {
			return r.checkRecord()
		}
		text = text[1:] // the comma: scanQuoted saw to it
	}
}

func (r *csvReader) checkRecord() Reason {
	for _, cell := range r.record {
		if len(cell) > r.limits.cell {
			return CellTooLarge
		}
	}
	if r.header != nil && len(r.record) != len(r.header) {
		return RaggedRow
	}
	return ""
}

// checkBytes refuses what cannot be text.
func checkBytes(row []byte) Reason {
	if bytes.IndexByte(row, 0) >= 0 {
		return NULByte
	}
	if !utf8.Valid(row) {
		return InvalidEncoding
	}
	return ""
}

// outcome is what scanQuoted found.
type outcome int

const (
	rowComplete outcome = iota
	rowOpen             // the data ends inside the row
	rowBroken           // quotes where RFC 4180 has none
)

// scanQuoted finds the length of the row that data begins with, line end included.
func scanQuoted(data []byte, comma byte, eof bool) (int, outcome) {
	i := 0
	for {
		if i < len(data) && data[i] == '"' {
			i++
			for {
				quote := bytes.IndexByte(data[i:], '"')
				if quote < 0 {
					if eof {
						return 0, rowBroken
					}
					return 0, rowOpen
				}
				i += quote + 1
				if i < len(data) && data[i] == '"' {
					i++
					continue
				}
				break
			}
		} else {
			for i < len(data) && data[i] != comma && data[i] != '\n' {
				if data[i] == '"' {
					return 0, rowBroken
				}
				i++
			}
		}
		if i < len(data) && data[i] == '\r' && (i+1 < len(data) && data[i+1] == '\n' || i+1 == len(data) && eof) {
			i++
		}
		switch {
		case i >= len(data) && eof:
			return i, rowComplete
		case i >= len(data), data[i] == '\r' && i+1 == len(data):
			return 0, rowOpen
		case data[i] == '\n':
			return i + 1, rowComplete
		case data[i] == comma:
			i++
		default:
			return 0, rowBroken
		}
	}
}
