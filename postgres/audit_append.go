package postgres

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// pendingEntry is one entry on its way into the log. They are pooled, with their buffer
// and timer, because there is one for every query that the gate answers.
type pendingEntry struct {
	leaf  []byte
	hash  [32]byte
	id    [16]byte
	index uint64
	done  chan error
	timer *time.Timer
	// state moves once, from waiting to taken by the appender or to abandoned by a
	// caller whose deadline has passed.
	state atomic.Int32
}

const (
	entryWaiting = iota
	entryTaken
	entryAbandoned
)

var pendingEntries = sync.Pool{New: func() any {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &pendingEntry{leaf: make([]byte, 0, 512), done: make(chan error, 1), timer: timer}
}}

// Append makes the event durable and returns its receipt. It does not heed ctx: a
// caller that goes away half-way would leave nobody who knows whether the entry exists.
// Its own deadline bounds it instead, and yields [privacy.ErrUnavailable]. The entry may
// then still come into the log: it says what was about to be done, and nothing was.
func (l *AuditLog) Append(_ context.Context, event audit.Event) (audit.Receipt, error) {
	if err := l.enter(); err != nil {
		return audit.Receipt{}, err
	}
	defer l.users.Done()
	p := pendingEntries.Get().(*pendingEntry)
	if err := l.encode(p, &event); err != nil {
		pendingEntries.Put(p)
		return audit.Receipt{}, err
	}
	p.state.Store(entryWaiting)
	p.timer.Reset(l.config.Deadline)
	select {
	case l.queue <- p:
	default:
		select {
		case l.queue <- p:
		case <-p.timer.C:
			return audit.Receipt{}, l.couldNotWrite(1, fmt.Errorf("appending to audit log: queue is full: %w", privacy.ErrUnavailable))
		}
	}
	select {
	case err := <-p.done:
		p.timer.Stop()
		if err != nil {
			return audit.Receipt{}, fmt.Errorf("appending to audit log: %w", err)
		}
		receipt := audit.Committed(p.id, p.hash, p.index)
		pendingEntries.Put(p)
		return receipt, nil
	case <-p.timer.C:
		err := fmt.Errorf("appending to audit log: not durable in %v: %w", l.config.Deadline, privacy.ErrUnavailable)
		if p.state.CompareAndSwap(entryWaiting, entryAbandoned) {
			return audit.Receipt{}, l.couldNotWrite(1, err)
		}
		return audit.Receipt{}, err // whoever has it counts it
	}
}

// encode fills p with a new entry for the event.
func (l *AuditLog) encode(p *pendingEntry, event *audit.Event) (err error) {
	if l.config.Hold != nil {
		if err := l.config.Hold(event.Kind); err != nil {
			return err
		}
	}
	if p.leaf, p.id, err = l.encoder.AppendLeaf(p.leaf[:0], event); err != nil {
		return err
	}
	p.hash = audit.LeafHash(p.leaf)
	return nil
}

// appendLoop commits batches until the log is closed. There is no timer that waits for
// more: while one batch is being committed, the next one gathers.
func (l *AuditLog) appendLoop() {
	a := appender{log: l, batch: make([]*pendingEntry, 0, l.config.MaxBatch)}
	defer a.disconnect()
	for {
		a.batch = a.batch[:0]
		select {
		case p := <-l.queue:
			a.take(p)
		case <-l.stop:
			return
		}
		// Whoever is about to log, and only waits for a processor, comes along: a commit
		// costs much more than an entry. Where nobody is, giving way costs nothing.
		for gathered := 0; gathered != len(a.batch) && len(a.batch) < l.config.MaxBatch; {
			gathered = len(a.batch)
			runtime.Gosched()
			a.gather(l.queue, l.config.MaxBatch)
		}
		if len(a.batch) > 0 {
			a.finish(a.commit())
		}
	}
}

// appender is the state of appendLoop.
type appender struct {
	log   *AuditLog
	batch []*pendingEntry
	conn  *pgxpool.Conn // nil: not connected
	write logWrite
	// down is set while the database is away: then one attempt must do, so that
	// callers learn it at once instead of after their whole deadline.
	down bool
	// crowded counts down after another process has been seen writing: meanwhile the
	// log's lock is taken before the batch is built, not guessed.
	crowded int
}

func (a *appender) take(p *pendingEntry) {
	if p.state.CompareAndSwap(entryWaiting, entryTaken) {
		a.batch = append(a.batch, p)
	}
}

// gather takes what is waiting.
func (a *appender) gather(queue <-chan *pendingEntry, most int) {
	for len(a.batch) < most {
		select {
		case p := <-queue:
			a.take(p)
		default:
			return
		}
	}
}

// finish tells the callers, with the turn already given back.
func (a *appender) finish(first uint64, err error) {
	for i, p := range a.batch {
		p.index = first + uint64(i)
		p.done <- err
	}
	clear(a.batch)
}

// commit writes the batch and returns the index of its first entry.
func (a *appender) commit() (first uint64, err error) {
	l := a.log
	until := time.Now().Add(l.config.Deadline)
	if !l.takeTurn(until) {
		return 0, l.couldNotWrite(len(a.batch), fmt.Errorf("waiting for another writer: %w", privacy.ErrUnavailable))
	}
	defer l.giveTurn()
	notice, now, err := l.checkClock()
	if err != nil {
		return 0, err
	}
	if notice != nil {
		a.batch = slices.Insert(a.batch, 0, notice)
	}
	ctx, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for attempt := 0; ; attempt++ {
		first, err = a.try(ctx)
		if err == nil {
			if notice != nil {
				l.head.clock = now
			}
			a.down = false
			l.wrote()
			l.growAfter(first, l.head.edge.Size())
			return first, nil
		}
		if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && (pgErr.Code == "40001" || pgErr.Code == "23505") && attempt < 8 {
			l.collisions.Add(1)
			a.crowded = 64 // somebody else writes too
			continue
		}
		a.disconnect()
		err = translate(err)
		if !errors.Is(err, privacy.ErrUnavailable) || a.down || ctx.Err() != nil {
			break
		}
		// The connection broke. Whether the batch was committed is found out after
		// reconnecting; give a restarting database the rest of the deadline.
		select {
		case <-ctx.Done():
		case <-time.After(25 * time.Millisecond):
		}
	}
	a.down = true
	l.head.stale = true
	return 0, l.couldNotWrite(len(a.batch), err)
}

// try makes one attempt to commit the batch.
func (a *appender) try(ctx context.Context) (first uint64, err error) {
	l := a.log
	if a.conn == nil {
		if err := a.connect(ctx); err != nil {
			return 0, err
		}
	}
	if l.head.stale || a.crowded > 0 {
		return a.tryLocked(ctx)
	}
	first = l.head.edge.Size()
	a.write.build(&l.head.edge, a.batch)
	if err := a.write.commitClaimed(ctx, a.conn.Conn(), &l.head); err != nil {
		l.head.stale = true
		return 0, err
	}
	l.head.moveTo(a.write.edge, a.write.root)
	return first, nil
}

// tryLocked takes the lock first and looks where the log ends: one round trip more, but
// it cannot lose a race. If the batch turns out to be in the log already, by an attempt
// whose outcome was lost with its connection, it is not written again.
func (a *appender) tryLocked(ctx context.Context) (first uint64, err error) {
	l := a.log
	conn := a.conn.Conn()
	if _, err := conn.Exec(ctx, sqlAuditBegin); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil && !conn.IsClosed() {
			_, _ = conn.Exec(ctx, "rollback")
		}
	}()
	moved, err := l.head.lock(ctx, conn)
	if err != nil {
		return 0, err
	}
	if a.crowded--; moved {
		a.crowded = 64
	}
	if a.write.first < a.write.edge.Size() && a.write.built == a.batchID() {
		found, err := findBatch(ctx, conn, &a.write)
		if err != nil {
			return 0, err
		}
		if found {
			_, err = conn.Exec(ctx, "rollback")
			return a.write.first, err
		}
	}
	first = l.head.edge.Size()
	a.write.build(&l.head.edge, a.batch)
	if err := a.write.commitLocked(ctx, conn, true); err != nil {
		l.head.stale = true
		return 0, err
	}
	l.head.moveTo(a.write.edge, a.write.root)
	return first, nil
}

// batchID names the batch by its first entry, whose id is random.
func (a *appender) batchID() [16]byte { return a.batch[0].id }

func (a *appender) connect(ctx context.Context) error {
	conn, err := a.log.db.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	if err := prepareAuditWrites(ctx, conn.Conn()); err != nil {
		conn.Release()
		return err
	}
	a.conn = conn
	return nil
}

func (a *appender) disconnect() {
	if a.conn == nil {
		return
	}
	// Whatever state it is in, nobody else shall have it.
	closeQuickly(a.conn.Conn())
	a.conn.Release()
	a.conn = nil
}
