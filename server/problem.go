package server

import (
	"context"
	"errors"
	"net/http"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

// problemPrefix begins every type URI. What follows it never changes its meaning: see
// docs/http-api.md, where each has a heading.
const problemPrefix = "urn:mahrem:problem:"

// kind is one sort of problem.
type kind struct {
	name   string
	status int
	title  string
}

// The problems. Detail is fixed text, so that no value can slip into it.
var (
	malformed        = &kind{"malformed-request", http.StatusBadRequest, "The request could not be read."}
	unauthenticated  = &kind{"unauthenticated", http.StatusUnauthorized, "A valid bearer token is needed."}
	forbidden        = &kind{"forbidden", http.StatusForbidden, "This is not allowed."}
	notFound         = &kind{"not-found", http.StatusNotFound, "There is no such thing."}
	methodNotAllowed = &kind{"method-not-allowed", http.StatusMethodNotAllowed, "This path does not know the method."}
	conflict         = &kind{"conflict", http.StatusConflict, "Somebody else changed the same thing. Ask again."}
	refused          = &kind{"request-refused", http.StatusConflict, "A rule stands against this step of a request."}
	quotaExceeded    = &kind{"evaluation-quota", http.StatusConflict, "More than a fifth above the declared size was evaluated. The next match has a quota of its own."}
	roomDenied       = &kind{"room-denied", http.StatusForbidden, "The rules of this clean room do not allow this."}
	roomExhausted    = &kind{"room-budget-exhausted", http.StatusConflict, "What may be learned of a dataset does not suffice for this question. Nothing was computed."}
	roomFailed       = &kind{"room-failed", http.StatusInternalServerError, "The question was charged and has no answer. Asking again costs again."}
	tooLarge         = &kind{"request-too-large", http.StatusRequestEntityTooLarge, "The request is too large."}
	mediaType        = &kind{"unsupported-media-type", http.StatusUnsupportedMediaType, "The body has another media type than this path takes."}
	invalid          = &kind{"invalid-request", http.StatusUnprocessableEntity, "The request was read, but says something impossible."}
	internal         = &kind{"internal-error", http.StatusInternalServerError, "Something went wrong here. Nothing was answered."}
	unavailable      = &kind{"unavailable", http.StatusServiceUnavailable, "The database or the log cannot be reached or written. Nothing was answered. Ask again."}
	unvouched        = &kind{"log-unvouched", http.StatusServiceUnavailable, "The witnesses who must vouch for the log are away. Nothing was answered. Ask again later."}
)

// problem is an error that already knows what the caller will be told.
type problem struct {
	kind   *kind
	errors []fieldProblem
	allow  string // of a 405
	// refusal is the rule behind a request that was refused.
	refusal *dsar.Refusal
	// checks are those that a question about a clean room did not pass, left is what is left
	// of the budgets that it would have to be paid from.
	checks []string
	left   []cleanroom.Left
	cause  error // for the operator's log
}

// fieldProblem is one fault in the caller's input: where, and what would be right.
type fieldProblem struct{ pointer, reason string }

func (p *problem) Error() string {
	if p.cause != nil {
		return p.kind.name + ": " + p.cause.Error()
	}
	return p.kind.name
}

func (p *problem) Unwrap() error { return p.cause }

func refuse(k *kind) *problem { return &problem{kind: k} }

func refuseField(k *kind, pointer, reason string) *problem {
	return &problem{kind: k, errors: []fieldProblem{{pointer, reason}}}
}

// problemOf is the one place that turns an error into what a caller is told. An error
// that it does not know becomes "internal-error", without a word of its text.
func problemOf(err error, principal privacy.Principal) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*dsar.Refusal](err); ok {
		return &problem{kind: refused, refusal: refusal, cause: err}
	}
	k := internal
	switch {
	case errors.Is(err, audit.ErrUnvouched):
		k = unvouched
	case errors.Is(err, privacy.ErrUnavailable),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		k = unavailable
	case errors.Is(err, privacy.ErrDamaged):
		// Before the kinds below: what does not open is never the caller's fault.
	case errors.Is(err, privacy.ErrInvalid):
		k = invalid
		if field, ok := errors.AsType[*privacy.FieldError](err); ok {
			return &problem{kind: k, errors: []fieldProblem{{field.Pointer, field.Reason}}, cause: err}
		}
	case errors.Is(err, privacy.ErrUnauthenticated):
		k = unauthenticated
	case errors.Is(err, privacy.ErrForbidden):
		k = forbidden
	case errors.Is(err, privacy.ErrNotFound):
		// Only a DPO may learn that somebody does not exist. For everybody else an
		// unknown person and a forbidden one are the same.
		if k = forbidden; principal.MayKnowWhetherPersonExists() {
			k = notFound
		}
	case errors.Is(err, privacy.ErrConflict):
		k = conflict
	}
	return &problem{kind: k, cause: err}
}

// appendJSON appends the problem document (RFC 9457 section 3).
func (p *problem) appendJSON(b []byte, requestID string) []byte {
	b = append(b, `{"type":"`+problemPrefix...)
	b = append(b, p.kind.name...)
	b = append(b, `","title":`...)
	b = appendString(b, p.kind.title)
	b = append(b, `,"status":`...)
	b = appendInt(b, int64(p.kind.status))
	b = append(b, `,"instance":"urn:mahrem:request:`...)
	b = append(b, requestID...)
	b = append(b, '"')
	if len(p.errors) > 0 {
		b = append(b, `,"errors":[`...)
		for i, e := range p.errors {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, `{"pointer":`...)
			b = appendString(b, e.pointer)
			b = append(b, `,"reason":`...)
			b = appendString(b, e.reason)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	if p.refusal != nil {
		b = appendString(appendKey(b, "check"), p.refusal.Check)
		b = appendString(appendKey(b, "detail"), p.refusal.Reason)
		if p.refusal.Article != "" {
			b = appendString(appendKey(b, "article"), p.refusal.Article)
		}
	}
	if len(p.checks) > 0 {
		b = appendStrings(appendKey(b, "checks"), p.checks)
	}
	if len(p.left) > 0 {
		b = appendLeft(appendKey(b, "left"), p.left, nil)
	}
	return append(b, '}')
}

// writeProblem answers with p.
func (c *call) writeProblem(p *problem) {
	header := c.writer.Header()
	switch p.kind {
	case unauthenticated:
		header.Set("WWW-Authenticate", c.challenge)
	case methodNotAllowed:
		header.Set("Allow", p.allow)
	case unavailable:
		header["Retry-After"] = []string{"1"}
	case unvouched:
		header["Retry-After"] = []string{"5"}
	case tooLarge:
		// What was not read would be taken for the next request.
		header.Set("Connection", "close")
	}
	buffer := buffers.get()
	defer buffers.put(buffer)
	buffer.data = p.appendJSON(buffer.data[:0], c.requestID)
	c.write(p.kind.status, headerProblem, buffer.data)
}
