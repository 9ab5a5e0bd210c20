//go:build race

package policies

// underRace: the race detector empties pools at random, so allocations say nothing.
const underRace = true
