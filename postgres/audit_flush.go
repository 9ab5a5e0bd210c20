package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/privacy"
)

// errSessionLost says that the flusher has another session than the one that was asked
// for, so that its flush proves nothing.
var errSessionLost = errors.New("session of the flusher was lost")

// flushRequest asks for a flush in a session of the flusher; in any, if it is zero.
type flushRequest struct {
	session uint64
	done    chan error
}

// flushSession returns the number of the flusher's session, after making one if need be.
func (l *AuditLog) flushSession(until time.Time) (uint64, error) {
	if session := l.session.Load(); session != 0 {
		return session, nil
	}
	if err := l.waitFlushed(0, until); err != nil {
		return 0, err
	}
	session := l.session.Load()
	if session == 0 {
		return 0, fmt.Errorf("connecting flusher: %w", privacy.ErrUnavailable)
	}
	return session, nil
}

// confirm returns when the write, which was committed after session began, is durable.
// If that session is gone, it looks whether the write is still there.
func (l *AuditLog) confirm(ctx context.Context, session uint64, w *logWrite, until time.Time) error {
	err := l.waitFlushed(session, until)
	if !errors.Is(err, errSessionLost) {
		return err
	}
	if session, err = l.flushSession(until); err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	found, err := findBatch(ctx, l.db.pool, w)
	if err != nil {
		return translate(err)
	}
	if !found {
		return fmt.Errorf("change was lost with the database: %w", privacy.ErrUnavailable)
	}
	if err := l.waitFlushed(session, until); err != nil {
		return fmt.Errorf("%w: %w", privacy.ErrUnavailable, err)
	}
	return nil
}

// waitFlushed returns when everything that was committed before the call, and after the
// session began, is durable.
func (l *AuditLog) waitFlushed(session uint64, until time.Time) error {
	done := make(chan error, 1)
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case l.flush <- flushRequest{session, done}:
	case <-timer.C:
		return fmt.Errorf("waiting for flush: %w", privacy.ErrUnavailable)
	}
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("waiting for flush: %w", privacy.ErrUnavailable)
	}
}

// flushLoop confirms asynchronous commits for all who wait, with one flush for as many
// as have come since the last.
func (l *AuditLog) flushLoop() {
	f := flusher{log: l}
	defer f.disconnect()
	var waiting []flushRequest
	for {
		waiting = waiting[:0]
		select {
		case r := <-l.flush:
			waiting = append(waiting, r)
		case <-l.stop:
			return
		}
	gather:
		for {
			select {
			case r := <-l.flush:
				waiting = append(waiting, r)
			default:
				break gather
			}
		}
		session, err := f.flush()
		for _, r := range waiting {
			if r.session != 0 && r.session != session {
				r.done <- errSessionLost
			} else {
				r.done <- err
			}
		}
	}
}

// flusher is the state of flushLoop.
type flusher struct {
	log     *AuditLog
	conn    *pgxpool.Conn // nil: not connected
	session uint64        // counts the sessions
}

// sqlAuditFlush writes a message that nobody reads: its commit record is flushed, and
// with it everything before (and, with synchronous replication, replicated).
const sqlAuditFlush = `select pg_logical_emit_message(true, 'mahrem', '')`

// flush makes everything durable that was committed before, and returns the session in
// which it did. A session that breaks meanwhile is lost, and its waiters are told so.
func (f *flusher) flush() (session uint64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), f.log.config.Deadline)
	defer cancel()
	if f.conn == nil {
		if f.conn, err = f.log.db.pool.Acquire(ctx); err != nil {
			f.conn = nil
			return 0, translate(err)
		}
		if _, err := f.conn.Exec(ctx, "set synchronous_commit = on"); err != nil {
			f.disconnect()
			return 0, translate(err)
		}
		f.session++
		f.log.session.Store(f.session)
	}
	if _, err := f.conn.Exec(ctx, sqlAuditFlush); err != nil {
		f.disconnect()
		return 0, translate(err)
	}
	return f.session, nil
}

func (f *flusher) disconnect() {
	f.log.session.Store(0)
	if f.conn == nil {
		return
	}
	closeQuickly(f.conn.Conn())
	f.conn.Release()
	f.conn = nil
}
