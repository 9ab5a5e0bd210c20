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

// endKey is where a context keeps the one that [WithEnd] marked.
type endKey struct{}

// WithEnd marks ctx as that of the program, or of all that a server answers: what is charged goes
// on when its asker goes, but not when ctx ends.
func WithEnd(ctx context.Context) context.Context { return context.WithValue(ctx, endKey{}, ctx) }

// outlive returns a context that ends with the program, and not if the asker goes: it is paid for.
func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	staying, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if program, ok := ctx.Value(endKey{}).(context.Context); ok {
		stop := context.AfterFunc(program, cancel)
		return staying, func() { stop(); cancel() }
	}
	return staying, cancel
}

// Work returns a context that ends when there must be an answer, or with the program.
func (c *Clock) Work(ctx context.Context) (context.Context, context.CancelFunc) {
	staying, end := outlive(ctx)
	working, cancel := context.WithTimeout(staying, c.Limit-c.Limit/failing)
	return working, func() { cancel(); end() }
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
// time for the work had been needed. It ends at once where the program does; who has gone and who
// waits no longer do not end it.
func (c *Clock) AwaitFailure(ctx context.Context, charged time.Time) (context.Context, context.CancelFunc, error) {
	var err error
	if left := c.Limit - c.Limit/failing - c.Now().Sub(charged); left > 0 {
		waiting, end := outlive(ctx)
		err = c.Sleep(waiting, left)
		end()
	}
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Limit)
	return noting, cancel, err
}

// Tell waits for the next point of a grid.
func (c *Clock) Tell(ctx context.Context, from time.Time, grid time.Duration) error {
	passed := max(0, c.Now().Sub(from))
	return c.Sleep(ctx, grid-passed%grid)
}
