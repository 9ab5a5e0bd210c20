package export

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/mahrem/mahrem/dsar"
)

// nothing is a file that keeps nothing.
type nothing struct{ io.Writer }

func (nothing) Keep() error { return nil }
func (nothing) Drop() error { return nil }

// TestMemoryIsFlat exports a person with a million events (100,000 with -short) and looks at
// the heap all the while. What one with a hundredth of them takes is the measure.
func TestMemoryIsFlat(t *testing.T) {
	events := int64(1_000_000)
	if testing.Short() {
		events = 100_000
	}
	small, large := heapOfExport(t, events/100), heapOfExport(t, events)
	t.Logf("live heap: %.1f MB for %d events, %.1f MB for %d", float64(small)/1e6, events/100, float64(large)/1e6, events)
	// The pages of the export have names and digests, 200 bytes for each thousand events.
	if large > small+8<<20 {
		t.Errorf("a hundred times as many events take %d bytes more", large-small)
	}
}

// heapOfExport returns the most that was alive on the heap after a collection, in the
// course of an export, beyond what was before.
func heapOfExport(t *testing.T, events int64) uint64 {
	t.Helper()
	h := newHouse(t)
	p := h.add(1)
	p.many = events
	job, _ := h.job(p, dsar.Access)
	job.Create = func() (File, error) { return nothing{io.Discard}, nil }
	var before, now runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&before)
	var most, next atomic.Int64
	job.Progress = func(done, total int64) {
		if done < next.Load() {
			return
		}
		next.Store(done + total/20)
		runtime.GC()
		runtime.ReadMemStats(&now)
		most.Store(max(most.Load(), int64(now.HeapAlloc)-int64(before.HeapAlloc)))
	}
	result, err := h.Export(t.Context(), dpo, job)
	if err != nil {
		t.Fatal(err)
	}
	if result.Events != events || most.Load() <= 0 {
		t.Fatalf("%d events, %d bytes", result.Events, most.Load())
	}
	return uint64(most.Load())
}
