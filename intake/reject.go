package intake

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Reason says why a row was turned away. The set is closed.
type Reason string

// The reasons.
const (
	InvalidEncoding    Reason = "invalid_encoding"    // not UTF-8
	NULByte            Reason = "nul_byte"            // holds a zero byte
	RaggedRow          Reason = "ragged_row"          // more or fewer cells than the header
	CellTooLarge       Reason = "cell_too_large"      // a cell above the limit
	RowTooLarge        Reason = "row_too_large"       // a row above the limit
	BadQuotes          Reason = "bad_quotes"          // quotes that do not pair (RFC 4180)
	BadJSON            Reason = "bad_json"            // not one JSON object of the right shape
	BadTime            Reason = "bad_time"            // a time that does not read
	MissingIdentifier  Reason = "missing_identifier"  // nobody to attach the row to
	BadIdentifier      Reason = "bad_identifier"      // an identifier without a normal form
	IdentifierConflict Reason = "identifier_conflict" // identifiers of two different people
	Suppressed         Reason = "suppressed"          // names an identifier of somebody who was erased
	UnknownAttribute   Reason = "unknown_attribute"   // not in the catalogue
	UnknownEvent       Reason = "unknown_event"       // an event type that has no stream
	UnknownValue       Reason = "unknown_value"       // not in the mapping's table
	BadJurisdiction    Reason = "bad_jurisdiction"    // not in the catalogue
	BadConsent         Reason = "bad_consent"         // a consent that does not validate
	TooMuch            Reason = "too_much"            // more identifiers, values or events than one row may have
)

// Reject is a row that was turned away: never what it held.
type Reject struct {
	// Row is the line on which the row begins; the first line of a file is 1.
	Row int64 `json:"row"`
	// Reason says why.
	Reason Reason `json:"reason"`
	// Field says where, in words of the mapping or of the row shape; it may be empty.
	Field string `json:"field,omitempty"`
}

// rejectFile writes rejected rows as NDJSON. The file appears with its first line.
type rejectFile struct {
	path string
	file *os.File
	out  *bufio.Writer
}

// openRejects starts the list of a load that begins after row. Lines of an earlier,
// broken-off attempt are kept up to that row; lines behind it belong to work that was
// not committed and will be found again.
func openRejects(path string, after int64) (*rejectFile, error) {
	r := &rejectFile{path: path}
	if path == "" {
		return r, nil
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading rejected rows: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replacing rejected rows: %w", err)
	}
	if after == 0 {
		return r, nil
	}
	var kept []Reject
	for line := range bytes.Lines(old) {
		var reject Reject
		if json.Unmarshal(line, &reject) == nil && reject.Row > 0 && reject.Row <= after {
			kept = append(kept, reject)
		}
	}
	return r, r.write(kept)
}

// write appends rows and hands them to the system.
func (r *rejectFile) write(rejects []Reject) error {
	if r.path == "" || len(rejects) == 0 {
		return nil
	}
	if r.file == nil {
		file, err := os.OpenFile(r.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("creating rejected rows: %w", err)
		}
		r.file, r.out = file, bufio.NewWriter(file)
	}
	encoder := json.NewEncoder(r.out)
	for _, reject := range rejects {
		if err := encoder.Encode(reject); err != nil {
			return fmt.Errorf("writing rejected rows: %w", err)
		}
	}
	if err := r.out.Flush(); err != nil {
		return fmt.Errorf("writing rejected rows: %w", err)
	}
	return nil
}

func (r *rejectFile) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

var _ io.Closer = (*rejectFile)(nil)
