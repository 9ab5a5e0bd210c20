package audit

import "errors"

// ErrUnvouched: those who must vouch for the log, before data may leave on the strength of an
// entry in it, do not. Nothing is written and nothing answered; it ends when they are back.
var ErrUnvouched = errors.New("nobody vouches for the log")
