package postgres

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// AuditConfig says how an [AuditLog] names, signs and times what it writes.
type AuditConfig struct {
	// Origin names the log in its checkpoints, such as "shop.example/audit". Required.
	Origin string
	// PublicKey is the log's Ed25519 key, by which its checkpoints are checked. Without
	// one the log can be appended to, but checkpoints cannot be signed or opened.
	PublicKey ed25519.PublicKey
	// Sign returns a raw Ed25519 signature under PublicKey. If it is nil, this process
	// does not sign checkpoints.
	Sign func(message []byte) ([]byte, error)
	// Memory keeps the last signed checkpoint outside the database. Nil means none: then
	// somebody who may do everything in the database can take signed checkpoints away and
	// have another history signed after the next start. It needs PublicKey.
	Memory CheckpointMemory
	// Former are keys that signed checkpoints of this log before PublicKey did.
	Former []ed25519.PublicKey
	// Witnesses says whose signatures make a checkpoint one to rely on; nil means nobody's.
	Witnesses *witness.Policy
	// Hold is asked before an entry of a kind is written, and what it returns is returned to
	// the caller: so that nothing is answered while nobody vouches for the log. Nil: all are.
	Hold func(audit.Kind) error
	// SignEvery is the time between checkpoints; zero means one second, and less than
	// zero that checkpoints are signed only by [AuditLog.SignCheckpoint]. The rhythm
	// is fixed so that no checkpoint singles out one entry.
	SignEvery time.Duration
	// Actor tags a principal under a key of the operator. Required.
	Actor func(privacy.Principal) [16]byte
	// Now is the clock of entries and checkpoints; nil means time.Now.
	Now func() time.Time
	// Random draws entry ids; nil means crypto/rand.
	Random io.Reader
	// Deadline is how long an append may take, waiting included; zero means 2 seconds.
	Deadline time.Duration
	// AwaitSigner is how long [AuditLog.SignCheckpoint] waits for another process to sign;
	// zero means 10 seconds.
	AwaitSigner time.Duration
	// Queue bounds the entries that wait for the next batch; zero means 8192. A full
	// queue makes callers wait, never drop.
	Queue int
	// MaxBatch bounds the entries of one commit; zero means 1024.
	MaxBatch int
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
}

// AuditDeadline is how long an append may take unless it is said otherwise.
const AuditDeadline = 2 * time.Second

// AwaitSigner is how long another process may take to sign unless it is said otherwise.
const AwaitSigner = 10 * time.Second

func (c AuditConfig) withDefaults() AuditConfig {
	if c.SignEvery == 0 {
		c.SignEvery = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Deadline <= 0 {
		c.Deadline = AuditDeadline
	}
	if c.AwaitSigner <= 0 {
		c.AwaitSigner = AwaitSigner
	}
	if c.Queue <= 0 {
		c.Queue = 8192
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = 1024
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// AuditLog is the transparency log in PostgreSQL: one Merkle tree, insert-only tables,
// any number of processes writing.
//
// Order comes from one advisory lock that a writer holds until its transaction ends, so
// indexes have no gaps and their order is the order of commits. Two ways in:
//
//   - [AuditLog.Append] queues an entry; one goroutine commits all that wait as one
//     batch, in one round trip, and takes what has gathered meanwhile as the next.
//   - [AuditLog.AppendTx] commits an entry together with a change, in one transaction.
//
// Both return only after the write-ahead log is on disk. It is safe for concurrent use.
type AuditLog struct {
	db       *DB
	config   AuditConfig
	encoder  *audit.Encoder
	signer   note.Signer   // nil: this process does not sign
	verifier note.Verifier // nil: no key known

	queue   chan *pendingEntry
	flush   chan flushRequest
	stop    chan struct{}
	session atomic.Uint64 // of the flusher; zero: none
	alarm   logAlarm
	closed  atomic.Bool
	// collisions counts the times when another process had written meanwhile.
	collisions atomic.Uint64
	users      sync.WaitGroup // callers inside Append
	work       sync.WaitGroup // goroutines

	// turn holds one token. Whoever has it owns head, and is the only one of this
	// process that waits for the log's lock in the database.
	turn chan struct{}
	head logHead

	checkpoints *Signer // nil: no key known
}

// OpenAuditLog opens the log in a migrated database and starts its appender. It
// recomputes the root from the right edge of the tree and refuses, with an error that
// wraps [privacy.ErrDamaged], if that is not the root that was last committed, or if the
// log does not begin with the checkpoint that [AuditConfig.Memory] kept.
func OpenAuditLog(ctx context.Context, db *DB, config AuditConfig) (*AuditLog, error) {
	if config.Origin == "" {
		return nil, fmt.Errorf("opening audit log without origin: %w", privacy.ErrInvalid)
	}
	config = config.withDefaults()
	encoder, err := audit.NewEncoder(audit.EncoderConfig{Now: config.Now, Random: config.Random, Actor: config.Actor})
	if err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	l := &AuditLog{
		db: db, config: config, encoder: encoder,
		queue: make(chan *pendingEntry, config.Queue),
		flush: make(chan flushRequest, 1024),
		stop:  make(chan struct{}),
		turn:  make(chan struct{}, 1),
	}
	if config.PublicKey != nil {
		if l.checkpoints, err = NewSigner(db, config.signer()); err != nil {
			return nil, fmt.Errorf("opening audit log: %w", err)
		}
		l.verifier, l.signer = l.checkpoints.verifier, l.checkpoints.signer
	} else if config.Memory != nil {
		return nil, fmt.Errorf("opening audit log with a memory and without its public key: %w", privacy.ErrInvalid)
	}
	if err := l.loadHead(ctx); err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	if l.checkpoints != nil {
		if err := l.checkpoints.checkMemory(ctx); err != nil {
			return nil, fmt.Errorf("opening audit log: %w", err)
		}
	}
	if err := l.addPartitions(ctx, l.head.edge.Size()); err != nil {
		return nil, fmt.Errorf("opening audit log: %w", err)
	}
	l.turn <- struct{}{}
	l.work.Go(l.appendLoop)
	l.work.Go(l.flushLoop)
	if l.checkpoints != nil && config.SignEvery > 0 {
		l.work.Go(func() { l.checkpoints.run(l.stop, config.SignEvery) })
	}
	return l, nil
}

// Close refuses new entries, commits those that wait, and returns when nothing of the
// log runs any more or ctx is done.
func (l *AuditLog) Close(ctx context.Context) error {
	if l.closed.Swap(true) {
		return nil
	}
	done := make(chan struct{})
	go func() {
		l.users.Wait() // every caller is answered within its deadline
		close(l.stop)
		l.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("closing audit log: %w: %w", privacy.ErrUnavailable, ctx.Err())
	}
}

// enter counts a caller in, unless the log is closed. The caller must call l.users.Done.
func (l *AuditLog) enter() error {
	l.users.Add(1)
	if l.closed.Load() {
		l.users.Done()
		return fmt.Errorf("appending to closed audit log: %w", privacy.ErrUnavailable)
	}
	return nil
}

// takeTurn waits for head. It reports false when until has passed first.
func (l *AuditLog) takeTurn(until time.Time) bool {
	select {
	case <-l.turn:
		return true
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-l.turn:
		return true
	case <-timer.C:
		return false
	}
}

func (l *AuditLog) giveTurn() { l.turn <- struct{}{} }

var _ audit.Appender = (*AuditLog)(nil)
