package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// ReadEvery is how often one reader's reading is logged unless it is said otherwise.
const ReadEvery = time.Hour

// Reads keeps the evidence of who was handed entries of the log: one [LogRead] for each
// principal in a period, and not one for each tile, of which a log of ten million entries
// has forty thousand. It is safe for concurrent use.
type Reads struct {
	log   Appender
	every time.Duration
	now   func() time.Time

	mu    sync.Mutex
	known map[privacy.Principal]*reading
}

// reading is one principal's last entry.
type reading struct {
	mu     sync.Mutex // held while the entry is written: others of the same principal wait
	logged time.Time
}

// NewReads logs to log. Zero stands for [ReadEvery], nil for time.Now.
func NewReads(log Appender, every time.Duration, now func() time.Time) *Reads {
	if every == 0 {
		every = ReadEvery
	}
	if now == nil {
		now = time.Now
	}
	return &Reads{log: log, every: every, now: now, known: map[privacy.Principal]*reading{}}
}

// Note returns once it is durable in the log that by reads entries: in this period by the
// clock of this process. On an error nothing may be handed out.
func (r *Reads) Note(ctx context.Context, by privacy.Principal) error {
	if by == (privacy.Principal{}) {
		return fmt.Errorf("reading entries as nobody: %w", privacy.ErrForbidden)
	}
	one := r.of(by)
	one.mu.Lock()
	defer one.mu.Unlock()
	now := r.now()
	// A clock that went back must not put off the next entry for longer than a period.
	if age := now.Sub(one.logged); !one.logged.IsZero() && age >= 0 && age < r.every {
		return nil
	}
	receipt, err := r.log.Append(ctx, Event{Kind: LogRead, Principal: by, Outcome: Done})
	if err == nil && receipt.IsZero() {
		err = errors.New("no receipt")
	}
	if err != nil {
		return fmt.Errorf("logging that entries are read: %w", err)
	}
	one.logged = now
	return nil
}

// maxReaders bounds the memory of Reads. Who is forgotten is logged again.
const maxReaders = 4096

func (r *Reads) of(by privacy.Principal) *reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.known[by]
	if one == nil {
		if len(r.known) >= maxReaders {
			clear(r.known)
		}
		one = &reading{}
		r.known[by] = one
	}
	return one
}
