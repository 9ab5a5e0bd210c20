package outbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// Failure is why an attempt did not deliver. Senders return one; any other error of theirs
// is [FailureUnknown] and tried again.
type Failure struct {
	// Word is stored and shown: lower case, without anything of the payload or the answer.
	Word string
	// Final: another attempt cannot succeed. The delivery is dead.
	Final bool
	// After is how long the receiver asks to be left alone; zero: as usual.
	After time.Duration
	// Err is for the operator's diagnostics; it may be nil.
	Err error
}

// Words for failures that every sender may have.
const (
	FailureUnknown     = "unknown"
	FailureTimeout     = "timeout"
	FailureUnreachable = "unreachable"
	FailureDamaged     = "payload_damaged"
	FailureExpired     = "expired"
)

// Error names the word and never the payload.
func (f *Failure) Error() string {
	if f.Err != nil {
		return fmt.Sprintf("delivering: %s: %v", f.Word, f.Err)
	}
	return "delivering: " + f.Word
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// failureOf makes a failure of any error.
func failureOf(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		if !failurePattern.MatchString(f.Word) {
			return &Failure{Word: FailureUnknown, Final: f.Final, After: f.After, Err: err}
		}
		return f
	}
	f := &Failure{Word: FailureUnknown, Err: err}
	netErr, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), isNet && netErr.Timeout():
		f.Word = FailureTimeout
	case isNet:
		f.Word = FailureUnreachable
	case errors.Is(err, privacy.ErrDamaged):
		f.Word, f.Final = FailureDamaged, true
	}
	return f
}
