package assembly

import (
	"context"
	"time"
)

// Refreshing makes the profiles by which audiences are found, behind whoever changes people,
// until ctx ends. The channel is closed when it has stopped.
func (h *House) Refreshing(ctx context.Context, every time.Duration) <-chan struct{} {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.Refresher.Run(ctx, every, func(err error) {
			h.options.Logger.Warn("profiles not refreshed, audiences lack whoever has changed", "error", err)
		})
	}()
	return stopped
}
