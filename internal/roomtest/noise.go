package roomtest

import (
	"math"
	"math/rand/v2"
	"sync"

	"github.com/mahrem/mahrem/cleanroom"
)

// Noise draws normal numbers that come again with the same seed. They protect nobody:
// they are for tests, which want the same numbers every day.
type Noise struct {
	mu sync.Mutex
	r  *rand.Rand
}

var _ cleanroom.Noise = (*Noise)(nil)

// NewNoise returns noise of a seed.
func NewNoise(seed uint64) *Noise { return &Noise{r: rand.New(rand.NewPCG(seed, 0))} }

// Gaussian returns x with noise of a standard deviation.
func (n *Noise) Gaussian(x int64, sigma float64) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return x + int64(math.Round(n.r.NormFloat64()*sigma))
}
