package match_test

import (
	"crypto/rand"
	"testing"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
)

// seeds are n people.
func seeds(n int) []match.Seed {
	out := make([]match.Seed, n)
	for i := range out {
		_, _ = rand.Read(out[i][:])
	}
	return out
}

// BenchmarkPair reports what one pass costs an element, on as many cores as -cpu says.
func BenchmarkPair(b *testing.B) {
	one, other := newPair(b)
	people := seeds(4096)
	tokens, err := one.Mask(b.Context(), people)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("mask", func(b *testing.B) {
		for b.Loop() {
			if _, err := one.Mask(b.Context(), people); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*len(people))/b.Elapsed().Seconds(), "mult/s")
	})
	b.Run("remask", func(b *testing.B) {
		for b.Loop() {
			if _, err := other.Remask(b.Context(), tokens); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*len(tokens))/b.Elapsed().Seconds(), "mult/s")
	})
}

// BenchmarkOperator reports how long the house takes for a million people on each side.
func BenchmarkOperator(b *testing.B) {
	keys, m := newKeys(b), match.NewOperator()
	room := &cleanroom.Room{ID: "snacks", Matching: cleanroom.MatchOperator}
	const n = 1_000_000
	people := seeds(n + n*6/10)
	for b.Loop() {
		var tags [][]match.Tag
		for _, list := range [][]match.Seed{people[:n], people[n*6/10:]} {
			tokens, err := m.Mask(b.Context(), list)
			if err != nil {
				b.Fatal(err)
			}
			list, err := keys.Tags(b.Context(), room, 1, tokens)
			if err != nil {
				b.Fatal(err)
			}
			tags = append(tags, list)
		}
		if _, err := match.Assign(rand.Reader, tags...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkYardstick is what the library alone takes for the multiplication in masking.
func BenchmarkYardstick(b *testing.B) {
	for b.Loop() {
		if err := match.Yardstick(1); err != nil {
			b.Fatal(err)
		}
	}
}
