package cleanroom

import (
	"context"
	"time"
)

// Clock says when what became of a charged question may show. How long it was worked on depends
// on the data, and more shows than the answer: when an entry came into the log, between which
// others; when somebody else is told who waits for the same; when there is a place for another
// question. So what became of it is noted at times that do not depend on the work, whether
// whoever asked is still there or not, and told a little later.
type Clock struct {
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	// Grid is at which distances from its arrival a question is answered.
	Grid time.Duration
	// Limit is how long after the charge a failure is told.
	Limit time.Duration
}

// noting is which part of the grid is left for noting an answer before it is told, failing
// which part of the limit for noting a failure.
const (
	noting  = 10
	failing = 6
)

// Work returns a context that ends when there must be an answer, and not if the asker goes: it
// is paid for.
func (c *Clock) Work(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), c.Limit-c.Limit/failing)
}

// AwaitNote waits until the answer to a question may be noted, shortly before the next point of
// the grid, and returns a context for that. It lasts as long as may be without a failure of it
// being told late: a busy log may take its time.
func (c *Clock) AwaitNote(ctx context.Context, arrived, charged time.Time) (context.Context, context.CancelFunc, error) {
	ctx = context.WithoutCancel(ctx)
	err := c.Tell(ctx, arrived.Add(-c.Grid/noting), c.Grid)
	last := c.Limit / failing / 2
	ctx, cancel := context.WithTimeout(ctx, max(last, c.Limit-last-c.Now().Sub(charged)))
	return ctx, cancel, err
}

// AwaitFailure waits until a failure may be noted, and returns a context for that: as if all the
// time for the work had been needed. It ends at once where the program does, which cancels with a
// cause of its own (that of a signal is a context.Canceled for [errors.Is], so they are compared);
// who has gone and who waits no longer do not.
func (c *Clock) AwaitFailure(ctx context.Context, charged time.Time) (context.Context, context.CancelFunc, error) {
	staying := context.WithoutCancel(ctx)
	var err error
	if left := c.Limit - c.Limit/failing - c.Now().Sub(charged); left > 0 {
		waiting, cancel := context.WithCancel(staying)
		stop := context.AfterFunc(ctx, func() {
			if cause := context.Cause(ctx); cause != context.Canceled && cause != context.DeadlineExceeded {
				cancel()
			}
		})
		err = c.Sleep(waiting, left)
		stop()
		cancel()
	}
	staying, cancel := context.WithTimeout(staying, c.Limit)
	return staying, cancel, err
}

// Tell waits for the next point of a grid.
func (c *Clock) Tell(ctx context.Context, from time.Time, grid time.Duration) error {
	passed := max(0, c.Now().Sub(from))
	return c.Sleep(ctx, grid-passed%grid)
}
