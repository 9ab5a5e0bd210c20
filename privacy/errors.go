package privacy

import (
	"errors"
	"fmt"
)

// Errors that callers across the module tell apart with errors.Is. Text that wraps
// them names what was being done and never holds personal data.
var (
	// ErrInvalid: the caller's input is malformed, or names something that the
	// catalogue does not know. Correct it and ask again.
	ErrInvalid = errors.New("invalid input")
	// ErrNotFound: the person or thing does not exist.
	ErrNotFound = errors.New("not found")
	// ErrUnauthenticated: no valid token.
	ErrUnauthenticated = errors.New("unauthenticated")
	// ErrForbidden: the caller's role does not allow the call.
	ErrForbidden = errors.New("forbidden")
	// ErrConflict: somebody else changed the same thing; reading again and retrying may help.
	ErrConflict = errors.New("conflict")
	// ErrUnavailable: the database or the log cannot be reached or written. Nothing
	// was answered and nothing was changed, or the same call may safely be made again.
	ErrUnavailable = errors.New("unavailable")
	// ErrDamaged: stored bytes do not open or do not verify: altered, truncated,
	// swapped, or sealed under another key.
	ErrDamaged = errors.New("damaged or altered data")
)

// FieldError says which part of the caller's input is wrong. It wraps [ErrInvalid].
type FieldError struct {
	// Pointer is a JSON pointer (RFC 6901) into the input, such as "/attributes/2".
	Pointer string
	// Reason says what is wrong and what would be right, without repeating a value
	// that could be personal data.
	Reason string
}

// Error joins pointer and reason.
func (e *FieldError) Error() string {
	if e.Pointer == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s: %s", e.Pointer, e.Reason)
}

// Unwrap returns [ErrInvalid].
func (*FieldError) Unwrap() error { return ErrInvalid }
