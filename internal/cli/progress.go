package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows how far something is, on a terminal only: a log file of a cron job has no
// use for it.
type bar struct{ inner *progressbar.ProgressBar }

// newBar starts a bar on w. total may be negative when it is not known.
func newBar(w io.Writer, title, unit string, total int64) *bar {
	if !isTerminal(w) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(title),
		progressbar.OptionSetItsString(unit),
		progressbar.OptionShowIts(),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// set moves the bar to done of total.
func (b *bar) set(done, total int64) {
	if b.inner == nil {
		return
	}
	if total > 0 && b.inner.GetMax64() != total {
		b.inner.ChangeMax64(total)
	}
	_ = b.inner.Set64(done)
}

// finish takes the bar off the screen.
func (b *bar) finish() {
	if b.inner != nil {
		_ = b.inner.Finish()
	}
}

// newBytesBar is a bar that counts bytes.
func newBytesBar(w io.Writer, title string, total int64) *bar {
	if !isTerminal(w) {
		return &bar{}
	}
	return &bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(title),
		progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(24),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// describe changes the title.
func (b *bar) describe(title string) {
	if b.inner != nil {
		b.inner.Describe(title)
	}
}

// counting returns what measurements tell, shown as one bar that counts them under the title
// of what is being done, and how to end it.
func (a *app) counting(title string, measurements int) (step func(step string, done, total int), finish func()) {
	progress := newBar(a.screen.err, title, "measurements", int64(measurements))
	return func(step string, done, total int) {
		progress.describe(step)
		progress.set(int64(done), int64(total))
	}, progress.finish
}

// benching returns what a measurement tells of its steps, shown as a bar a step, and how to
// end the last one. unit is what the steps count.
func (a *app) benching(unit string) (step func(step string, done, total int), finish func()) {
	progress, title := &bar{}, ""
	return func(step string, done, total int) {
		if step != title {
			progress.finish()
			progress, title = newBar(a.screen.err, step, unit, int64(total)), step
		}
		progress.set(int64(done), int64(total))
	}, func() { progress.finish() }
}
