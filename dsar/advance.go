package dsar

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/clock"
	"github.com/mahrem/mahrem/privacy"
)

// Compute applies the law of a regime to what has happened; package clock does.
type Compute func(clock.Input) (clock.Deadline, error)

// advance asks the machine and the clock for one step, at a moment, and returns the
// request as it would be. It changes nothing. What is not allowed is a [Refusal].
func advance(law Compute, r *Request, m *Move, at time.Time) (Request, *Rule, error) {
	rule, ok := ruleOf(m.Action)
	if !ok || len(rule.From) == 0 {
		return Request{}, nil, &Refusal{Check: string(CheckState), Reason: "there is no such step"}
	}
	if m.Version != 0 && m.Version != r.Version {
		return Request{}, rule, &Refusal{Check: string(CheckVersion), Reason: "somebody took another step meanwhile"}
	}
	if rule.Kinds != nil && !slices.Contains(rule.Kinds, r.Kind) {
		return Request{}, rule, &Refusal{Check: string(CheckKind), Reason: "a request of this kind knows no such step"}
	}
	if !slices.Contains(rule.From, r.State) {
		return Request{}, rule, &Refusal{Check: string(CheckState), Reason: "the step cannot be taken from this state, which is " + string(r.State)}
	}
	for _, check := range rule.Checks {
		if refusal := check.pass(r, m); refusal != nil {
			return Request{}, rule, refusal
		}
	}
	next := r.clone()
	next.Version++
	if rule.To != "" {
		next.State = rule.To
	}
	if next.State.Closed() && next.ClosedAt.IsZero() {
		// A clock that was set back must not close a request before it came.
		next.ClosedAt = later(at, r.ReceivedAt)
	}
	if err := next.apply(law, m, at); err != nil {
		return Request{}, rule, err
	}
	return next, rule, nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// apply carries out what an action does besides moving the state.
func (r *Request) apply(law Compute, m *Move, at time.Time) error {
	switch m.Action {
	case ActionAskIdentity:
		return r.wait(law, clock.Identity, at, true)
	case ActionVerify:
		r.VerifiedAt = at
		return r.goOn(law, clock.Identity, at)
	case ActionPause:
		return r.wait(law, m.Ground, at, false)
	case ActionResume:
		return r.goOn(law, "", at)
	case ActionExtend:
		r.ExtendedAt = at
		return r.tell(law, &clock.Extension{Notified: at, Reason: m.Extension})
	case ActionFulfil:
		r.Outcome = m.Outcome
	case ActionDeny:
		r.Denial = m.Denial
	case ActionErase:
		r.ErasedAt, r.DataSubject = at, privacy.DataSubjectID{}
	}
	return nil
}

// wait stops the clock. Whoever asks for proof of identity stops it only where the law
// starts the clock with the proof: elsewhere to stop it is a decision of its own.
func (r *Request) wait(law Compute, ground clock.Ground, at time.Time, ifItStarts bool) error {
	asked := slices.ContainsFunc(r.Pauses, func(p clock.Pause) bool { return p.Ground == ground })
	if ifItStarts && (asked || !r.PausedAt.IsZero()) {
		return nil // the code is sent once more
	}
	before := r.clone()
	r.Pauses = append(r.Pauses, clock.Pause{Ground: ground, From: at})
	r.PausedAt = at
	deadline, err := r.compute(law, nil)
	if ifItStarts && (err != nil || !deadline.Started.IsZero()) {
		*r = before
		return nil
	}
	return err
}

// goOn lets the clock go on if it waits for the ground; the empty one is any.
func (r *Request) goOn(law Compute, ground clock.Ground, at time.Time) error {
	for i := range r.Pauses {
		p := &r.Pauses[i]
		if p.Until.IsZero() && (ground == "" || ground == p.Ground) {
			p.Until = later(at, p.From)
			r.PausedAt = time.Time{}
			return r.tell(law, nil)
		}
	}
	return nil
}

// tell has the clock set the dates again.
func (r *Request) tell(law Compute, extension *clock.Extension) error {
	_, err := r.compute(law, extension)
	return err
}

// compute asks the clock with everything that has happened and takes its dates over.
func (r *Request) compute(law Compute, extension *clock.Extension) (clock.Deadline, error) {
	if extension == nil && !r.ExtendedAt.IsZero() {
		// It was allowed when it was given; the reason is sealed with its step.
		extension = &clock.Extension{Notified: r.ExtendedAt, Reason: clock.Complexity}
	}
	deadline, err := law(clock.Input{
		Regime: clock.Regime(r.Regime), Right: clock.Right(r.Kind), Received: r.ReceivedAt,
		Pauses: r.Pauses, Extension: extension,
	})
	if refusal, ok := errors.AsType[*clock.Refusal](err); ok {
		return deadline, &Refusal{Check: string(refusal.Check), Article: refusal.Article, Reason: refusal.Reason}
	}
	if err != nil {
		return deadline, err
	}
	r.DueAt, r.AcknowledgeBy, r.StartedAt = deadline.DueAt.UTC(), deadline.AcknowledgeByAt.UTC(), time.Time{}
	if !deadline.Started.IsZero() {
		r.StartedAt = deadline.Started.In(time.UTC, 0, 0, 0)
	}
	if deadline.DueAt.IsZero() {
		r.DueAt = time.Time{}
	}
	if deadline.AcknowledgeByAt.IsZero() {
		r.AcknowledgeBy = time.Time{}
	}
	return deadline, nil
}

const digestDomain = "mahrem/request-step/v1\x00"

// StepDigest is what the log says of a step: SHA-256 over the domain, the request, the
// number and the name of the step, and the digest of what it is evidence of. Whoever holds
// the request can show which entry is about it; the entry alone tells nothing.
func StepDigest(id RequestID, number int64, action Action, evidence audit.Digest) audit.Digest {
	b := make([]byte, 0, 128)
	b = append(b, digestDomain...)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(number))
	b = append(append(b, action...), 0)
	return sha256.Sum256(append(b, evidence[:]...))
}
