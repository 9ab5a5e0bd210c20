package policies

import (
	"context"
	"sync"
)

// Withstood remembers which bundles withstood the attack that comes before each activation
// (see [Revision.Probe]). The attack depends on nothing but the bundle and the program, so
// engines of one process may share what it found: a bundle that comes back after another was
// refused, or is opened once more, is not attacked again. It is safe for concurrent use and
// keeps 32 bytes a bundle. A nil one remembers nothing.
type Withstood struct{ bundles sync.Map }

// attack attacks a revision unless its bundle withstood it before. What was let through, or
// broken off, is not remembered.
func (w *Withstood) attack(ctx context.Context, revision *Revision) error {
	if w != nil {
		if _, before := w.bundles.Load(revision.digest); before {
			return nil
		}
	}
	if _, err := revision.Probe(ctx); err != nil {
		return err
	}
	if w != nil {
		w.bundles.Store(revision.digest, struct{}{})
	}
	return nil
}
