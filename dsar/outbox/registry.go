package outbox

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// Filter picks deliveries; its zero value picks all.
type Filter struct {
	Request     [16]byte
	State       State
	Destination string
}

// Registry shows deliveries, without their payloads.
type Registry interface {
	// List returns at most limit deliveries that meet the filter, the newest first.
	List(ctx context.Context, filter Filter, limit int) ([]Delivery, error)
	// Count returns how many wait, and how many were given up.
	Count(ctx context.Context) (pending, dead int64, err error)
	// Revive makes a dead delivery pending again for the time of patience, together with
	// the entry for the event. The error wraps [privacy.ErrConflict] if it is not dead, or
	// its payload is destroyed.
	Revive(ctx context.Context, id ID, patience time.Duration, event audit.Event) (audit.Receipt, error)
}
