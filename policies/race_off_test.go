//go:build !race

package policies

const underRace = false
