package postgres

import (
	"context"
	"time"

	"github.com/mahrem/mahrem/audit"
)

// clockSlack is how far the clock may go back before the log says so. Machines correct
// their clocks by less all the time.
const clockSlack = time.Second

// recallClock remembers the time of the last entry, so that a clock that was set back
// while nobody wrote is noticed as well. What does not parse says nothing of the time.
func (l *AuditLog) recallClock(ctx context.Context, q querier, size uint64) error {
	entries, err := readEntriesAt(ctx, q, []uint64{size - 1})
	if err != nil {
		return err
	}
	for _, e := range entries {
		if entry, err := audit.ParseEntry(e.Leaf); err == nil {
			l.head.clock = entry.Time.UnixMilli()
		}
	}
	return nil
}

// checkClock looks at the clock before a write. If it was set back since the last one, it
// returns the entry that must stand before those with earlier times: entries keep the
// order in which they were committed, whatever the clock shows, and the log says so. The
// caller must have the turn, and set head.clock to now when that entry is committed. What
// is compared is what the clock shows at writes and not the times of entries, because that
// of a long change is when it began.
func (l *AuditLog) checkClock() (notice *pendingEntry, now int64, err error) {
	now = l.config.Now().UnixMilli()
	before := l.head.clock
	if before-now <= clockSlack.Milliseconds() {
		l.head.clock = max(now, before)
		return nil, now, nil
	}
	notice = &pendingEntry{done: make(chan error, 1)} // nobody waits for it
	if err := l.encode(notice, &audit.Event{Kind: audit.ClockSetBack, Outcome: audit.Done}); err != nil {
		return nil, now, err
	}
	l.config.Logger.Warn("the clock was set back; entries of the log keep their order, and it says so",
		"by", (time.Duration(before-now) * time.Millisecond).String())
	return notice, now, nil
}
