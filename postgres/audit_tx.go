package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// AppendTx runs change in a transaction and commits it together with the entry for the
// event: both are durable when it returns, or neither exists. change gets the
// transaction at READ COMMITTED and must leave commit and rollback alone. An error of
// change is returned as it is and undoes everything.
//
// The log's lock is taken after change, as the last thing before the commit, so change
// may lock whatever it likes without a deadlock. It is let go before the disk has
// confirmed: the commit does not wait (synchronous_commit off), and a flush shared by
// all who wait confirms it. The write-ahead log is a sequence, so whatever is confirmed
// later covers it; a crash in between loses the change together with its entry, before
// anybody was told.
func (l *AuditLog) AppendTx(ctx context.Context, event audit.Event, change func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	if err := l.enter(); err != nil {
		return audit.Receipt{}, err
	}
	defer l.users.Done()
	p := pendingEntries.Get().(*pendingEntry)
	defer pendingEntries.Put(p)
	if err := l.encode(p, &event); err != nil {
		return audit.Receipt{}, err
	}
	// The flusher's session must be older than the commit: one that began after a crash
	// of the server would confirm a commit that the crash has taken.
	begun := time.Now().Add(l.config.Deadline)
	session, err := l.flushSession(begun)
	if err != nil {
		return audit.Receipt{}, l.couldNotWrite(1, fmt.Errorf("beginning change: %w", err))
	}
	w := logWrite{}
	until, err := l.changeAndAppend(ctx, &w, begun, func(ctx context.Context, tx pgx.Tx) ([]*pendingEntry, error) {
		return []*pendingEntry{p}, change(ctx, tx)
	})
	if err != nil {
		return audit.Receipt{}, err
	}
	if err := l.confirm(ctx, session, &w, until); err != nil {
		return audit.Receipt{}, l.couldNotWrite(1, fmt.Errorf("making change durable: %w", err))
	}
	l.wrote()
	return audit.Committed(p.id, p.hash, p.index), nil
}

// changeAndAppend makes the change and commits it with the entries that it returns. It must
// have begun at the time that is given, and returns by when the rest must be done. What
// change takes is its own affair.
func (l *AuditLog) changeAndAppend(ctx context.Context, w *logWrite, begun time.Time, change func(ctx context.Context, tx pgx.Tx) ([]*pendingEntry, error)) (until time.Time, err error) {
	conn, tx, err := l.beginChange(ctx, begun)
	if err != nil {
		return until, l.couldNotWrite(1, fmt.Errorf("beginning change: %w", translate(err)))
	}
	defer conn.Release() // destroys a connection that is still in a transaction
	committed := false
	defer func() {
		if !committed && !conn.Conn().IsClosed() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.config.Deadline)
			defer cancel()
			_ = tx.Rollback(ctx)
		}
	}()
	entries, err := change(ctx, tx)
	if err != nil {
		return until, err
	}
	if status := conn.Conn().PgConn().TxStatus(); status != 'T' {
		return until, fmt.Errorf("committing change: transaction is in state %c: %w", status, privacy.ErrConflict)
	}
	until = time.Now().Add(l.config.Deadline)
	if len(entries) == 0 {
		return until, nil // nothing was changed, so nothing is kept
	}
	if !l.takeTurn(until) {
		return until, l.couldNotWrite(len(entries), fmt.Errorf("committing change: waiting for another writer: %w", privacy.ErrUnavailable))
	}
	// From here the caller's context does not count: see Append.
	own, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	if err := l.appendAndCommit(own, conn.Conn(), entries, w); err != nil {
		return until, l.couldNotWrite(len(entries), fmt.Errorf("committing change: %w", translate(err)))
	}
	committed = true
	l.growAfter(w.first, w.edge.Size())
	return until, nil
}

// beginChange begins a transaction by the time given. Only where nothing is wrong but that
// many wait for a connection it goes on waiting, for as long as the caller does.
func (l *AuditLog) beginChange(ctx context.Context, begun time.Time) (*pgxpool.Conn, pgx.Tx, error) {
	own, cancel := context.WithDeadline(ctx, begun)
	defer cancel()
	conn, err := l.db.pool.Acquire(own)
	if own.Err() != nil && ctx.Err() == nil && !l.alarm.down.Load() {
		if stat := l.db.pool.Stat(); stat.AcquiredConns() >= stat.MaxConns() {
			own = ctx
			conn, err = l.db.pool.Acquire(own)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if err := prepareAuditWrites(own, conn.Conn()); err != nil {
		conn.Release()
		return nil, nil, err
	}
	tx, err := conn.BeginTx(own, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		conn.Release()
		return nil, nil, err
	}
	return conn, tx, nil
}

// appendAndCommit ends the transaction that is open on conn with the entries, and gives the
// turn back. It first guesses that the log ends where this process left it, which takes
// one round trip; if not, the guess is undone to its savepoint, and the lock is taken
// before looking.
//
// The next writer need not wait for the answer to a commit: as soon as this transaction
// has the log's lock and the guess was right, the turn is given on, with the head as it
// will be. Whoever has it waits for the lock in the database, and for nothing else, and is
// let in by the commit itself. Should that fail after all, the next claim does not find the
// head that it expects, and looks; nothing depends on the prediction being true.
func (l *AuditLog) appendAndCommit(ctx context.Context, conn *pgx.Conn, own []*pendingEntry, w *logWrite) (err error) {
	mine := true // the turn
	defer func() {
		if mine {
			l.head.stale = l.head.stale || err != nil
			l.giveTurn()
		}
	}()
	entries := own
	notice, now, err := l.checkClock()
	if err != nil {
		return err
	}
	defer func() {
		first := w.first + uint64(len(entries)-len(own))
		for i, p := range own {
			p.index = first + uint64(i)
		}
		if notice != nil && err == nil {
			l.head.clock = now
		}
	}()
	if notice != nil {
		entries = append([]*pendingEntry{notice}, own...)
	}
	if !l.head.stale {
		w.build(&l.head.edge, entries)
		err := w.commitGuessed(ctx, conn, &l.head, func() {
			if notice != nil {
				return // the log must have said so, before anything else is said
			}
			l.head.moveTo(w.edge, w.root)
			mine = false
			l.giveTurn()
		})
		if err == nil && mine {
			l.head.moveTo(w.edge, w.root)
		}
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if !mine || !ok || pgErr.Code != "40001" || conn.PgConn().TxStatus() != 'E' {
			return err
		}
		l.collisions.Add(1)
		if _, err := conn.Exec(ctx, "rollback to savepoint audit_guess"); err != nil {
			return err
		}
	}
	if _, err := l.head.lock(ctx, conn); err != nil {
		return err
	}
	w.build(&l.head.edge, entries)
	if err := w.commitLocked(ctx, conn, false); err != nil {
		return err
	}
	l.head.moveTo(w.edge, w.root)
	return nil
}

// changeOne runs a statement that changes one row, in the transaction of its entry. If it
// finds no row that it may change, nothing is committed and none is wrapped.
func changeOne(ctx context.Context, log transactor, what string, event audit.Event, none error, statement string, arguments ...any) (audit.Receipt, error) {
	receipt, err := log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, statement, arguments...)
		if err == nil && tag.RowsAffected() == 0 {
			return none
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("%s: %w", what, err)
	}
	return receipt, nil
}
