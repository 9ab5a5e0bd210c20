package archive

import (
	"sync"
	"testing"

	"github.com/mahrem/mahrem/audit"
)

// TestPeopleAreCountedWhileTheyAreWritten: nobody is lost between a count and a flush.
func TestPeopleAreCountedWhileTheyAreWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pair := Pair{b.revision.Digest(), audit.Digest{1}}
	const callers, each = 8, 50
	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			for i := range each {
				b.Met(pair.Policy, pair.Facts, audit.BlindingKey{byte(caller), byte(i)}.CountTag())
			}
		})
	}
	for range 20 {
		group.Go(func() {
			if err := b.Flush(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	sketches, err := b.sketches(t.Context(), []Pair{pair}, testTime)
	if err != nil {
		t.Fatal(err)
	}
	if count, exact := sketches[pair].count(); count != callers*each || !exact {
		t.Errorf("%d people, exact: %t", count, exact)
	}
}

// BenchmarkMet is what counting a person adds to a decision.
func BenchmarkMet(b *testing.B) {
	bench := newBench(b)
	policy, facts := bench.revision.Digest(), audit.Digest{1}
	b.ReportAllocs()
	var i uint32
	for b.Loop() {
		i++
		bench.Met(policy, facts, audit.BlindingKey{byte(i), byte(i >> 8)}.CountTag())
	}
}

// BenchmarkReplay makes the decisions of a long log again: many of few facts.
func BenchmarkReplay(b *testing.B) {
	bench := newBench(b)
	for i := range 20_000 {
		bench.decide(b, greeted(), byte(i))
	}
	for b.Loop() {
		if r, err := bench.ReplaySince(b.Context(), dpo, testTime); err != nil || r.Same != 20_000 {
			b.Fatal(r.Same, err)
		}
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "decisions/s")
}
