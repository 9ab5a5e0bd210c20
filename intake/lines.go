package intake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/mahrem/mahrem/privacy"
)

// lines cuts a stream into rows without ever holding more than one row of the largest
// allowed size, whatever the stream does. A reader such as encoding/csv would grow a
// cell as long as its input goes on; a 10 GB cell must cost a rejected row, not the
// process.
type lines struct {
	in     io.Reader
	max    int // longest row
	buffer []byte
	start  int
	end    int
	line   int64 // number of the line that begins at start
	eof    bool
	err    error
}

const readSize = 64 << 10

func newLines(in io.Reader, maxRow int) *lines {
	return &lines{in: in, max: maxRow, line: 1, buffer: make([]byte, min(maxRow+readSize, 4*readSize))}
}

// rest is what has been read and not yet consumed.
func (l *lines) rest() []byte { return l.buffer[l.start:l.end] }

// full reports whether the row at start is longer than allowed.
func (l *lines) full() bool { return l.end-l.start > l.max }

// more reads on; at the end it sets eof. It is called only while full is false, so that
// the buffer never outgrows the longest row and one read.
func (l *lines) more() error {
	if l.eof {
		return l.err
	}
	if l.end == len(l.buffer) || l.start > len(l.buffer)/2 {
		if l.end-l.start+readSize > len(l.buffer) {
			grown := make([]byte, min(2*len(l.buffer), l.max+2*readSize))
			copy(grown, l.buffer[l.start:l.end])
			l.end, l.start, l.buffer = l.end-l.start, 0, grown
		} else {
			copy(l.buffer, l.buffer[l.start:l.end])
			l.end, l.start = l.end-l.start, 0
		}
	}
	for range 100 {
		n, err := l.in.Read(l.buffer[l.end:])
		l.end += n
		if err != nil {
			l.eof = true
			if !errors.Is(err, io.EOF) {
				l.err = fmt.Errorf("reading input: %w: %w", privacy.ErrInvalid, err)
			}
			return l.err
		}
		if n > 0 {
			return nil
		}
	}
	l.eof, l.err = true, fmt.Errorf("reading input: %w", io.ErrNoProgress)
	return l.err
}

// consume drops n bytes, which must end at a line end or at the end of the stream.
func (l *lines) consume(n int) {
	l.line += int64(bytes.Count(l.buffer[l.start:l.start+n], newline))
	l.start += n
}

// skipLine drops everything up to the next line end, however far it is.
func (l *lines) skipLine() error {
	for {
		if i := bytes.IndexByte(l.rest(), '\n'); i >= 0 {
			l.consume(i + 1)
			return nil
		}
		l.start = l.end
		if l.eof {
			return l.err
		}
		if err := l.more(); err != nil {
			return err
		}
	}
}

// next returns the next line without its end. Reason is set, and the line dropped, when
// it is longer than a row may be. io.EOF ends the stream.
func (l *lines) next() (line []byte, number int64, reason Reason, err error) {
	scanned := 0
	for {
		number = l.line
		rest := l.rest()
		if i := bytes.IndexByte(rest[scanned:], '\n'); i >= 0 {
			i += scanned
			l.consume(i + 1)
			if i > l.max {
				return nil, number, RowTooLarge, nil
			}
			return bytes.TrimSuffix(rest[:i], carriageReturn), number, "", nil
		}
		scanned = len(rest)
		switch {
		case l.full():
			return nil, number, RowTooLarge, l.skipLine()
		case l.eof && l.err != nil:
			return nil, number, "", l.err
		case l.eof && len(rest) == 0:
			return nil, number, "", io.EOF
		case l.eof:
			l.start = l.end
			return bytes.TrimSuffix(rest, carriageReturn), number, "", nil
		}
		if err := l.more(); err != nil {
			return nil, number, "", err
		}
	}
}

// skipBOM drops a UTF-8 byte order mark at the beginning of the stream.
func (l *lines) skipBOM() error {
	for l.end-l.start < len(byteOrderMark) && !l.eof {
		if err := l.more(); err != nil {
			return err
		}
	}
	if bytes.HasPrefix(l.rest(), byteOrderMark) {
		l.start += len(byteOrderMark)
	}
	return nil
}

var (
	newline        = []byte{'\n'}
	carriageReturn = []byte{'\r'}
	byteOrderMark  = []byte("\ufeff")
)
