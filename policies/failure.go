package policies

import (
	"errors"
	"sync/atomic"
)

// Failures counts decisions that the rules failed to make. Each of them was a no.
type Failures struct {
	// Slow ran into the limit of one decision.
	Slow uint64
	// Panicked broke down in the evaluator.
	Panicked uint64
	// Broken ended in an error, or in something that is not a plan.
	Broken uint64
}

// What went wrong when it was not the rules' own words.
var (
	errSlow     = errors.New("too slow")
	errPanicked = errors.New("panic")
)

// failures counts over all revisions of an engine.
type failures struct{ slow, panicked, broken atomic.Uint64 }

// count counts an error that is the rules' fault; a caller who left is not.
func (f *failures) count(err error) {
	switch {
	case !errors.Is(err, ErrPolicy):
	case errors.Is(err, errSlow):
		f.slow.Add(1)
	case errors.Is(err, errPanicked):
		f.panicked.Add(1)
	default:
		f.broken.Add(1)
	}
}

func (f *failures) read() Failures {
	return Failures{Slow: f.slow.Load(), Panicked: f.panicked.Load(), Broken: f.broken.Load()}
}
