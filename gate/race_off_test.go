//go:build !race

package gate

// underRace: what asks hundreds of thousands of questions takes minutes under the race
// detector.
const underRace = false
