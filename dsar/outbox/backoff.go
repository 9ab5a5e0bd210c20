package outbox

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait after a failure. Pauses double, so that a receiver that is
// down is not hammered, and are drawn at random, so that all that waited for it do not come
// back at once.
type Backoff struct {
	// First is the pause after the first failure, Longest the bound for all. Zero means 5
	// seconds and 1 hour.
	First, Longest time.Duration
	// Random gives numbers from 0 to n-1; nil means math/rand/v2.
	Random func(n int64) int64
}

// Pause is the time to wait after so many attempts that failed, at least one: between half
// of First * 2^(attempts-1), but at most Longest, and the whole of it.
func (b Backoff) Pause(attempts int) time.Duration {
	first, longest, random := b.First, b.Longest, b.Random
	if first <= 0 {
		first = 5 * time.Second
	}
	if longest <= 0 {
		longest = time.Hour
	}
	if random == nil {
		random = rand.Int64N
	}
	pause := first
	for range attempts - 1 {
		if pause >= longest {
			break
		}
		pause *= 2
	}
	pause = min(pause, longest)
	half := int64(pause) / 2
	return pause - time.Duration(half) + time.Duration(random(half+1))
}
