package postgres

import (
	"errors"
	"sync/atomic"

	"github.com/mahrem/mahrem/privacy"
)

// logAlarm says whether the log can be written, by either way in. While it cannot, nothing
// is answered and nothing is changed, so somebody must come.
type logAlarm struct {
	down     atomic.Bool
	failures atomic.Uint64
}

// LogStatus is what an operator watches.
type LogStatus struct {
	// Writable is whether the last attempt to write an entry succeeded; true before one.
	Writable bool
	// Failures counts the entries that were not written, and whose callers were told so.
	Failures uint64
	// Waiting is how many entries wait for the next commit, of at most Queue. When it is
	// full, callers wait; nothing is ever dropped.
	Waiting, Queue int
}

// Status returns how the log is doing. It asks nobody and costs nothing.
func (l *AuditLog) Status() LogStatus {
	return LogStatus{
		Writable: !l.alarm.down.Load(), Failures: l.alarm.failures.Load(), Waiting: len(l.queue), Queue: cap(l.queue),
	}
}

// couldNotWrite raises the alarm if err is about the log and not about what was to be
// logged, and returns err.
func (l *AuditLog) couldNotWrite(entries int, err error) error {
	if !errors.Is(err, privacy.ErrUnavailable) && !errors.Is(err, privacy.ErrDamaged) {
		return err
	}
	l.alarm.failures.Add(uint64(entries))
	if !l.alarm.down.Swap(true) {
		l.config.Logger.Error("audit log cannot be written: nothing is answered", "error", err)
	}
	return err
}

// wrote ends the alarm.
func (l *AuditLog) wrote() {
	if l.alarm.down.Load() && l.alarm.down.Swap(false) {
		l.config.Logger.Info("audit log can be written again")
	}
}
