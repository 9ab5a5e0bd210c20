package bench

import (
	"fmt"
	"strings"
	"time"
)

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r GateReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	fmt.Fprintf(&b, "%d people; %d connections a side; an answer of the gate has %d bytes, a plain row %d; %d answers, %d log entries.\n\n",
		r.People, r.Connections, r.AnswerBytes, r.PlainBytes, r.Answers, r.Entries)
	b.WriteString("| question | clients | plain row/s | p50 | p99 | gate/s | p50 | p99 | ratio |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, row := range r.Lines {
		fmt.Fprintf(&b, "| %s | %d | %.0f | %s | %s | %.0f | %s | %s | %.2f |\n", row.Question, row.Clients,
			row.Plain.Rate, milliseconds(row.Plain.P50), milliseconds(row.Plain.P99),
			row.Gate.Rate, milliseconds(row.Gate.P50), milliseconds(row.Gate.P99), row.Ratio)
	}
	return b.String()
}

// Markdown is the report as a table for docs/performance.md and for a terminal.
func (r IntakeReport) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", r.Machine)
	b.WriteString("| lines | people | MB | seconds | lines/s | peak memory | same file again |\n|---:|---:|---:|---:|---:|---:|---:|\n")
	fmt.Fprintf(&b, "| %d | %d | %.1f | %.1f | %.0f | %d MiB | %s |\n", r.Lines, r.People, float64(r.Bytes)/1e6,
		r.Duration.Seconds(), r.Rate, r.Peak>>20, milliseconds(r.Again))
	return b.String()
}

// String describes the machine in one line.
func (m Machine) String() string {
	cpu := m.CPU
	if cpu == "" {
		cpu = "unknown processor"
	}
	text := fmt.Sprintf("%s, %d cores, %s, %s", cpu, m.Cores, m.System, m.Go)
	if m.Memory > 0 {
		text += fmt.Sprintf(", %.0f GiB", float64(m.Memory)/(1<<30))
	}
	return text
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
