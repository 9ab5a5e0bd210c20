package assembly

import (
	"testing"
	"time"
)

// TestClocksApart: an answer that was long on its way says little about the clock.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	asked := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for _, c := range []struct{ took, at, apart, surely time.Duration }{
		{0, 0, 0, 0},
		{0, 3 * time.Second, 3 * time.Second, 3 * time.Second},
		{0, -3 * time.Second, -3 * time.Second, 3 * time.Second},
		{10 * time.Second, 0, -5 * time.Second, 0},
		{10 * time.Second, 10 * time.Second, 5 * time.Second, 0},
		{10 * time.Second, 13 * time.Second, 8 * time.Second, 3 * time.Second},
	} {
		if apart, surely := clocksApart(asked, c.took, asked.Add(c.at)); apart != c.apart || surely != c.surely {
			t.Errorf("%v after %v: %v, surely %v; want %v, %v", c.at, c.took, apart, surely, c.apart, c.surely)
		}
	}
}
