package policies

import "errors"

// ErrPolicy: the rules failed to decide: they panicked, ran out of time, or returned
// something that is not a plan. The decision is no. It says nothing about the caller.
var ErrPolicy = errors.New("policy failure")
