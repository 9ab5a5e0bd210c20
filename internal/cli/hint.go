package cli

import (
	"errors"

	"github.com/mahrem/mahrem/internal/localpg"
	"github.com/mahrem/mahrem/privacy"
)

// hint says what to do next about an error, when there is something to do that the error
// does not say itself.
func hint(err error) string {
	switch {
	case errors.Is(err, localpg.ErrNoPrograms):
		return ""
	case errors.Is(err, errAway):
		return "the same command may safely be run again; whether the house is there, its /readyz says"
	case errors.Is(err, privacy.ErrUnavailable):
		return "the same command may safely be run again; mahrem doctor looks into what is wrong"
	}
	return ""
}
