package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mahrem/mahrem/intake"
)

// BenchmarkIntake loads the retail sample into an empty database.
func BenchmarkIntake(b *testing.B) {
	folder := dataFolder(b)
	for b.Loop() {
		b.StopTimer()
		d := newDeskWith(b, bundledWords(b), intake.Config{})
		b.StartTimer()
		summary, err := d.Load(b.Context(), open(b, filepath.Join(folder, "transactions_sample.csv.gz")), bundled(b, "complete-journey-transactions"), intake.Options{Principal: loading})
		if err != nil || summary.NewEvents != 75_000 {
			b.Fatalf("%+v, %v", summary, err)
		}
		b.ReportMetric(float64(summary.Rows)/summary.Duration.Seconds(), "rows/s")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(peakMemory(b), "peak-MiB")
}

// peakMemory is the most that this process has held, where the system tells.
func peakMemory(b *testing.B) float64 {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib float64
			if _, err := fmt.Sscanf(text, "%f kB", &kib); err != nil {
				b.Fatal(err)
			}
			return kib / 1024
		}
	}
	return 0
}
