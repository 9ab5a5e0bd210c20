package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Report is the outcome of measurements.
type Report struct {
	Machine Machine `json:"machine"`
	Rows    []Row   `json:"rows"`
}

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r Report) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	writeRows(&b, r.Rows)
	return b.String()
}

// measurement is one thing that is measured, in a file of its own.
type measurement[C any] struct {
	name string
	run  func(ctx context.Context, config C) ([]Row, error)
}

func namesOf[C any](measurements []measurement[C]) []string {
	names := make([]string, len(measurements))
	for i, m := range measurements {
		names[i] = m.name
	}
	return names
}

// measure makes those of the measurements that only names, in their order, or all of them if
// it names none. begun hears of each before it is made.
func measure[C any](ctx context.Context, config C, measurements []measurement[C], only []string, begun func(name string, i int)) (Report, error) {
	report := Report{Machine: ThisMachine()}
	for i, m := range measurements {
		if len(only) > 0 && !slices.Contains(only, m.name) {
			continue
		}
		begun(m.name, i)
		rows, err := m.run(ctx, config)
		if err != nil {
			return report, fmt.Errorf("measuring %s: %w", m.name, err)
		}
		for _, row := range rows {
			row.Measurement, row.Met = m.name, row.Met || row.Limit == ""
			report.Rows = append(report.Rows, row)
		}
	}
	return report, nil
}

// nobody hears of no step.
func nobody(string, int, int) {}

// unheard is for measurements that tell of their steps themselves.
func unheard(string, int) {}
