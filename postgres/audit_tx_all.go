package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// maxEntriesTx bounds the entries of one change: they are written while the log's lock is
// held, so that everybody else waits for them.
const maxEntriesTx = 4096

// AppendAllTx is [AuditLog.AppendTx] for a change that finds out itself what is to be said
// about it: change returns the events, in the order in which they become entries, one after
// the other with nothing in between, and all of them commit together with what it did. The
// receipts are in the order of the events.
//
// A change that returns no event has changed nothing: it is undone, and AppendAllTx returns,
// without receipts, when everything that the change may have read is durable. So somebody
// who is told that their change was there already is told the truth.
func (l *AuditLog) AppendAllTx(ctx context.Context, change func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error)) ([]audit.Receipt, error) {
	if err := l.enter(); err != nil {
		return nil, err
	}
	defer l.users.Done()
	begun := time.Now().Add(l.config.Deadline)
	session, err := l.flushSession(begun) // before the commit: see AppendTx
	if err != nil {
		return nil, l.couldNotWrite(1, fmt.Errorf("beginning change: %w", err))
	}
	var entries []*pendingEntry
	defer func() {
		for _, p := range entries {
			pendingEntries.Put(p)
		}
	}()
	w := logWrite{}
	until, err := l.changeAndAppend(ctx, &w, begun, func(ctx context.Context, tx pgx.Tx) ([]*pendingEntry, error) {
		events, err := change(ctx, tx)
		if err != nil {
			return nil, err
		}
		if len(events) > maxEntriesTx {
			return nil, fmt.Errorf("committing change with %d entries, of at most %d: %w", len(events), maxEntriesTx, privacy.ErrInvalid)
		}
		for i := range events {
			p := pendingEntries.Get().(*pendingEntry)
			entries = append(entries, p)
			if err := l.encode(p, &events[i]); err != nil {
				return nil, err
			}
		}
		return entries, nil
	})
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		if err := l.waitFlushed(session, until); err != nil {
			return nil, l.couldNotWrite(1, fmt.Errorf("making what was read durable: %w: %w", privacy.ErrUnavailable, err))
		}
		return nil, nil
	}
	if err := l.confirm(ctx, session, &w, until); err != nil {
		return nil, l.couldNotWrite(len(entries), fmt.Errorf("making change durable: %w", err))
	}
	l.wrote()
	receipts := make([]audit.Receipt, len(entries))
	for i, p := range entries {
		receipts[i] = audit.Committed(p.id, p.hash, p.index)
	}
	return receipts, nil
}
