package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/mahrem/mahrem/privacy"
)

// pending is a record that waits to be written.
type pending struct {
	record Record
	err    error
	done   chan struct{}
}

// Append writes a record and returns it, with sequence and hash, once it is on disk.
// Records that come meanwhile are written and flushed together by whoever is next.
//
// An error that wraps [privacy.ErrInvalid] or the context's means that nothing was written.
// After any other, [privacy.ErrUnavailable] among them, the line may stand: the caller must
// treat the erasure as one that may have happened, and a ledger that may be damaged refuses
// everything from then on.
func (l *Ledger) Append(ctx context.Context, record Record) (Record, error) {
	record.Time = record.Time.UTC().Truncate(time.Second)
	record.Suppressed = slices.Clone(record.Suppressed)
	if err := record.Validate(); err != nil {
		return Record{}, err
	}
	p := &pending{record: record, done: make(chan struct{})}
	l.mu.Lock()
	l.waiting = append(l.waiting, p)
	l.mu.Unlock()
	select {
	case <-p.done:
	case <-l.turn:
		l.writeWaiting()
		l.turn <- struct{}{}
	case <-ctx.Done():
		if l.leave(p) {
			return Record{}, ctx.Err()
		}
	}
	<-p.done
	return p.record, p.err
}

// leave takes a record out again, unless somebody writes it already.
func (l *Ledger) leave(p *pending) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.waiting, p)
	if i >= 0 {
		l.waiting = slices.Delete(l.waiting, i, i+1)
	}
	return i >= 0
}

// writeWaiting writes all that wait. The caller has the turn.
func (l *Ledger) writeWaiting() {
	l.mu.Lock()
	batch := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	if len(batch) == 0 {
		return // another one's turn has written the caller's record
	}
	err := l.write(batch)
	for _, p := range batch {
		if p.err = err; err != nil {
			p.record = Record{}
		}
		close(p.done)
	}
}

func (l *Ledger) write(batch []*pending) (err error) {
	if l.broken != nil {
		return l.broken
	}
	if err := l.lock(); err != nil {
		return err
	}
	defer func() {
		if unlock := syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN); unlock != nil && err == nil {
			l.broken = fmt.Errorf("unlocking erasure ledger: %w: %w", unlock, privacy.ErrUnavailable)
		}
	}()
	if err := l.follow(); err != nil {
		return err
	}
	next := l.head
	var lines []byte
	for _, p := range batch {
		next.Sequence++
		p.record.Sequence = next.Sequence
		lines = appendLine(lines, &p.record, next.Hash, l.config.Seal)
		next.Hash = p.record.Hash
	}
	if _, err := l.file.Write(lines); err != nil {
		return l.takeBack(err)
	}
	if err := l.file.Sync(); err != nil {
		// What the disk has is not known, and asking again would not tell: a second sync
		// after one that failed may succeed without having written anything.
		l.broken = fmt.Errorf("flushing erasure ledger: %w: %w", err, privacy.ErrUnavailable)
		return l.broken
	}
	l.head, l.end = next, l.end+int64(len(lines))
	return nil
}

// takeBack removes what a write that failed has left, such as on a full disk.
func (l *Ledger) takeBack(cause error) error {
	err := fmt.Errorf("writing erasure ledger: %w: %w", cause, privacy.ErrUnavailable)
	if cut := errors.Join(l.file.Truncate(l.end), l.file.Sync()); cut != nil {
		l.broken = errors.Join(err, cut)
		return l.broken
	}
	return err
}

// lock keeps other processes out. Waiting is bounded: a process that hangs with the lock
// must not hang all others, who hold locks of the database.
func (l *Ledger) lock() error {
	until := time.Now().Add(l.config.Wait)
	for pause := 100 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("locking erasure ledger: %w: %w", err, privacy.ErrUnavailable)
		case time.Now().After(until):
			return fmt.Errorf("another process keeps erasure ledger %s locked: %w", l.path, privacy.ErrUnavailable)
		}
		time.Sleep(pause)
	}
}

// follow catches up with what other processes have written. The file is locked.
func (l *Ledger) follow() error {
	info, err := l.file.Stat()
	if err != nil {
		return fmt.Errorf("looking at erasure ledger: %w: %w", err, privacy.ErrUnavailable)
	}
	there, err := os.Stat(l.path)
	if err != nil || !os.SameFile(info, there) {
		l.broken = fmt.Errorf("erasure ledger %s was moved or replaced while it was open: %w", l.path, privacy.ErrDamaged)
		return l.broken
	}
	switch size := info.Size(); {
	case size == l.end:
		return nil
	case size < l.end:
		l.broken = fmt.Errorf("erasure ledger %s was cut while it was open: %w", l.path, privacy.ErrDamaged)
		return l.broken
	}
	reading := newScan(l.file, l.end, info.Size(), l.head, l.config.Seal)
	for {
		if _, err := reading.next(); err != nil {
			if errors.Is(err, errEnd) {
				break
			}
			l.broken = fmt.Errorf("erasure ledger %s: %w", l.path, err)
			return l.broken
		}
	}
	l.head, l.end = reading.head, reading.offset
	if l.end == info.Size() {
		return nil
	}
	// A line without its end: its writer stopped before anybody was told.
	if err := l.file.Truncate(l.end); err != nil {
		return fmt.Errorf("removing the unfinished last line of erasure ledger %s: %w: %w", l.path, err, privacy.ErrUnavailable)
	}
	return nil
}

// Head is where the ledger ends now, with what other processes have written.
func (l *Ledger) Head(ctx context.Context) (Head, error) {
	select {
	case <-l.turn:
	case <-ctx.Done():
		return Head{}, ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	if l.broken != nil {
		return Head{}, l.broken
	}
	if err := l.lock(); err != nil {
		return Head{}, err
	}
	defer func() { _ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN) }()
	err := l.follow()
	return l.head, err
}
