package tally

import (
	"encoding/csv"
	"fmt"
	"io"
)

// WriteCSV writes a table for spreadsheets and programs (RFC 4180): the first line has the
// keys of the columns. Cells are words of the catalogue, which have neither an equals sign
// nor a bracket, so that no spreadsheet takes one for a formula that does anything.
func (t *Table) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := make([]string, len(t.Columns))
	for i, column := range t.Columns {
		header[i] = column.Key
	}
	_ = out.Write(header) // an error stays, and is told below
	for _, row := range t.Rows {
		_ = out.Write(row)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing table %s: %w", t.Name, err)
	}
	return nil
}
