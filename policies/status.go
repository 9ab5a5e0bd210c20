package policies

import "time"

// Status is how an engine is.
type Status struct {
	// Revision is what is active; nil before the first activation.
	Revision *Revision
	// Expired says that the statement of what is active does not hold any more. It decides
	// nevertheless: the alternative is rules of nobody.
	Expired bool
	// Refused is why the newest candidate is not what is active; nil if it is.
	Refused *Refusal
	// Activations and Refusals are totals.
	Activations, Refusals uint64
	// Failures are totals of decisions that the rules failed to make.
	Failures Failures
}

// Status returns how the engine is now.
func (e *Engine) Status() Status {
	s := Status{
		Revision: e.Revision(), Refused: e.unread.Load(),
		Activations: e.activations.Load(), Refusals: e.refusals.Load(),
		Failures: e.failures.read(),
	}
	if s.Revision != nil {
		s.Expired = s.Revision.expired(e.config.Now())
	}
	if s.Refused == nil {
		s.Refused = e.lastErr.Load()
	}
	return s
}

// Signed returns the statement that the revision was activated on; false if it was
// activated without.
func (r *Revision) Signed() (Signed, bool) { return r.signed, r.signed.Sequence > 0 }

func (r *Revision) expired(now time.Time) bool {
	return r.signed.Sequence > 0 && now.After(r.signed.NotAfter)
}

// identityOrZero tells one activated bundle from another. A nil revision is none.
func (r *Revision) identityOrZero() [32]byte {
	if r == nil {
		return [32]byte{}
	}
	return r.identity
}
