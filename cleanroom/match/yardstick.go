package match

import (
	"crypto/rand"

	"github.com/gtank/ristretto255"
)

// Yardstick multiplies an element with a scalar so many times, and does nothing else: what
// masking so many people in pair mode cannot do without. It is for measurements, which tell by
// it what is the machine's part.
func Yardstick(times int) {
	var uniform [64]byte
	_, _ = rand.Read(uniform[:]) // never fails
	scalar, element := ristretto255.NewScalar().FromUniformBytes(uniform[:]), ristretto255.NewElement().FromUniformBytes(uniform[:])
	for range times {
		element.ScalarMult(scalar, element)
	}
}
