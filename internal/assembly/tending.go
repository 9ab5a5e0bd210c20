package assembly

import (
	"context"
	"sync"
	"time"
)

// chore is something that a server does again and again behind the requests. Each is safe
// to break off and to do twice, and others may do it at the same time in other processes.
type chore struct {
	every time.Duration
	// warning is what an operator reads when it fails, with what that means.
	warning string
	do      func(context.Context) error
}

// tend adds a chore. Rooms call it when they are opened.
func (h *House) tend(c chore) { h.chores = append(h.chores, c) }

// Tending does all chores, each at its own rhythm and beginning with now, until ctx ends.
// The channel is closed when all have stopped.
func (h *House) Tending(ctx context.Context) <-chan struct{} {
	var running sync.WaitGroup
	for _, c := range h.chores {
		running.Go(func() { h.repeat(ctx, c) })
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		running.Wait()
	}()
	return stopped
}

func (h *House) repeat(ctx context.Context, c chore) {
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	for {
		if err := c.do(ctx); err != nil && ctx.Err() == nil {
			h.options.Logger.Warn(c.warning, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
