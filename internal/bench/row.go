package bench

import (
	"fmt"
	"strings"
)

// Row is one figure.
type Row struct {
	Measurement string `json:"measurement"`
	// What says what was measured, Figure and Unit what came out.
	What   string  `json:"what"`
	Figure float64 `json:"figure"`
	Unit   string  `json:"unit"`
	// Limit is the figure's limit, with its sign, such as "<= 0.12"; empty without one.
	Limit string `json:"limit,omitempty"`
	// Met is whether the limit holds; true without one.
	Met bool `json:"met"`
	// Note says under which conditions.
	Note string `json:"note,omitempty"`
}

// atMost and atLeast put a figure under a limit.
func (r Row) atMost(limit float64) Row {
	r.Limit, r.Met = fmt.Sprintf("<= %g", limit), r.Figure <= limit
	return r
}

func (r Row) atLeast(limit float64) Row {
	r.Limit, r.Met = fmt.Sprintf(">= %g", limit), r.Figure >= limit
	return r
}

// writeRows writes the figures as a table.
func writeRows(b *strings.Builder, rows []Row) {
	b.WriteString("| | measured | limit | |\n|---|---:|---:|---|\n")
	for _, row := range rows {
		verdict := row.Note
		if !row.Met {
			verdict = strings.TrimRight("NOT MET; "+row.Note, "; ")
		}
		fmt.Fprintf(b, "| %s | %s %s | %s | %s |\n", row.What, number(row.Figure), row.Unit, row.Limit, verdict)
	}
}

// number writes a figure with three digits that mean something.
func number(f float64) string {
	switch {
	case f >= 100 || f == float64(int64(f)):
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	case f >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}
