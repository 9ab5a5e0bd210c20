package match

import (
	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// Yardstick multiplies an element with a scalar so many times, and does nothing else: what
// masking so many people in pair mode cannot do without. It is for measurements, which tell by
// it what is the machine's part.
func Yardstick(times int) error {
	by, err := scalar.New().SetRandom(nil)
	if err != nil {
		return err
	}
	element, err := curve.NewRistrettoPoint().SetRandom(nil)
	if err != nil {
		return err
	}
	for range times {
		element.Mul(element, by)
	}
	return nil
}
