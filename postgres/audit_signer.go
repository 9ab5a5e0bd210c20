package postgres

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// SignerConfig says how a [Signer] signs, and whom it asks to sign as well.
type SignerConfig struct {
	// Origin names the log. Required.
	Origin string
	// PublicKey is the key by which checkpoints are checked. Required.
	PublicKey ed25519.PublicKey
	// Sign returns a raw Ed25519 signature under PublicKey. If it is nil, another process
	// signs: this one checks what that stores, and remembers it.
	Sign func(message []byte) ([]byte, error)
	// Former are keys that signed checkpoints of this log before PublicKey did.
	Former []ed25519.PublicKey
	// Memory keeps the last checkpoint outside the database; see [CheckpointMemory].
	Memory CheckpointMemory
	// Witnesses are asked for their signatures, if this process signs; nil means nobody.
	Witnesses *witness.Policy
	// WitnessTimeout bounds one request to a witness; zero means 5 seconds.
	WitnessTimeout time.Duration
	// Refused is told, with the reason, each time that signing is refused because the log is
	// not the one that was signed before, and with nil when it is signed. Nil: nobody is told.
	Refused func(why error)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger gets what an operator must know; nil means slog.Default().
	Logger *slog.Logger
}

func (c AuditConfig) signer() SignerConfig {
	return SignerConfig{
		Origin: c.Origin, PublicKey: c.PublicKey, Sign: c.Sign, Former: c.Former, Memory: c.Memory,
		Witnesses: c.Witnesses, Now: c.Now, Logger: c.Logger,
	}
}

// Signer vouches for the log: it signs checkpoints of it, each only after a proof that the
// log still begins with the last one, and collects the signatures of witnesses. It needs no
// more than to read the log and to add checkpoints, and shares nothing with those who
// append, so that it can be a process of its own with a key of its own. It is safe for
// concurrent use.
type Signer struct {
	db       *DB
	config   SignerConfig
	signer   note.Signer // nil: another process signs
	verifier note.Verifier
	former   []note.Verifier
	asks     *witness.Collector // nil: nobody is asked

	signing sync.Mutex
	signed  audit.Checkpoint // last one signed or accepted by this process
	fresh   chan struct{}    // something is to be cosigned
	// took is whether the key that signs now has signed: then former ones do not any more.
	took atomic.Bool

	mu      sync.Mutex
	refusal error // why the last attempt was refused
	alarms  map[string]error
	cosized uint64 // of a checkpoint that has a quorum
}

// NewSigner returns the signer of the log in db. It reads nothing yet.
func NewSigner(db *DB, config SignerConfig) (*Signer, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	s := &Signer{db: db, config: config, fresh: make(chan struct{}, 1), alarms: map[string]error{}}
	var err error
	if s.verifier, err = audit.NewVerifier(config.Origin, config.PublicKey); err != nil {
		return nil, err
	}
	for _, key := range config.Former {
		former, err := audit.NewVerifier(config.Origin, key)
		if err != nil {
			return nil, err
		}
		s.former = append(s.former, former)
	}
	if config.Sign == nil {
		return s, nil
	}
	if s.signer, err = audit.NewSigner(config.Origin, config.PublicKey, config.Sign); err != nil {
		return nil, err
	}
	if config.Witnesses != nil {
		s.asks, err = witness.NewCollector(config.Witnesses, s.proveGrowth, witness.ClientConfig{Timeout: config.WitnessTimeout})
	}
	return s, err
}

// Verifier checks the checkpoints.
func (s *Signer) Verifier() note.Verifier { return s.verifier }

// Refusal is why the last attempt to sign was refused: the log is not the one that was
// signed before. It is nil if it was not.
func (s *Signer) Refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal
}

func (s *Signer) note(refusal error) {
	if s.config.Refused != nil {
		s.config.Refused(refusal)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = refusal
}

// SignCheckpoint signs and stores a checkpoint of what is committed now: see [Signer.Sign].
// If another process signs, it waits for that.
func (l *AuditLog) SignCheckpoint(ctx context.Context) error {
	if l.checkpoints == nil {
		return fmt.Errorf("signing checkpoint without the log's key: %w", privacy.ErrInvalid)
	}
	if l.signer == nil {
		return l.awaitCheckpoint(ctx)
	}
	return l.checkpoints.Sign(ctx)
}

// lookAgain is how often it is looked whether another process has signed.
const lookAgain = 50 * time.Millisecond

// awaitCheckpoint returns when the stored checkpoints cover what is committed now.
func (l *AuditLog) awaitCheckpoint(ctx context.Context) error {
	size, err := l.Size(ctx)
	if err != nil || size == 0 {
		return err
	}
	over := time.NewTimer(l.config.AwaitSigner)
	defer over.Stop()
	for {
		signed, err := l.newestCheckpoint(ctx)
		if err != nil && !errors.Is(err, privacy.ErrNotFound) {
			return err
		}
		if covered, err := l.covers(signed, size-1); err != nil || covered {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the process that signs checkpoints (mahrem auditd): %w: %w", privacy.ErrUnavailable, ctx.Err())
		case <-over.C:
			return fmt.Errorf("waiting for the process that signs checkpoints (mahrem auditd): it has signed nothing for %s: %w", l.config.AwaitSigner, privacy.ErrUnavailable)
		case <-time.After(lookAgain):
		}
	}
}

// Run signs at a fixed rhythm and asks the witnesses behind it, until ctx ends. A refusal
// is said every time: somebody must come.
func (s *Signer) Run(ctx context.Context, every time.Duration) {
	s.run(ctx.Done(), every)
}

func (s *Signer) run(stop <-chan struct{}, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	var cosigning sync.WaitGroup
	defer cosigning.Wait()
	defer cancel()
	if s.asks != nil {
		cosigning.Go(func() { s.cosignLoop(ctx) })
	}
	step := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		do, failed := s.Sign, "audit checkpoint not signed"
		if s.signer == nil {
			do, failed = s.Follow, "audit checkpoint not accepted"
		}
		if err := do(ctx); err != nil {
			s.config.Logger.Error(failed, "error", err)
		}
	}
	for {
		select {
		case <-ticker.C:
			step()
		case <-stop:
			step()
			return
		}
	}
}

// Follow checks the newest checkpoint that another process has signed: that it is by the
// log's key, that the log has what it says, and that it continues the one that is kept here,
// in whose place it then comes.
func (s *Signer) Follow(ctx context.Context) error {
	err := s.follow(ctx)
	if err == nil || errors.Is(err, privacy.ErrDamaged) {
		s.note(err)
	}
	return err
}

func (s *Signer) follow(ctx context.Context) error {
	s.signing.Lock()
	defer s.signing.Unlock()
	kept, err := s.recallKept()
	if err != nil {
		return fmt.Errorf("following checkpoints: %w", err)
	}
	tx, err := s.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	head, err := s.readCheckpoint(ctx, tx)
	if err != nil {
		return err
	}
	if err := s.checkKept(ctx, tx, kept, head); err != nil {
		return err
	}
	before := s.signed
	if err := s.recallSigned(ctx, tx); err != nil {
		return fmt.Errorf("following checkpoints: %w", err)
	}
	if s.signed == before || s.signed.Size == 0 {
		return nil
	}
	if s.signed != head {
		if err := checkGrowth(ctx, tx, s.signed, head); err != nil {
			return err
		}
	}
	var signed []byte
	if err := tx.QueryRow(ctx, sqlAuditLatestCheckpoint).Scan(&signed); err != nil {
		return fmt.Errorf("reading latest checkpoint: %w", translate(err))
	}
	if _, err := audit.OpenCheckpoint(signed, s.verifier); err != nil || s.config.Memory == nil {
		return nil // by the key before, or nowhere to keep it
	}
	if err := s.config.Memory.Keep(signed); err != nil {
		return fmt.Errorf("keeping checkpoint: %w", err)
	}
	return nil
}

// proveGrowth proves from the stored hashes that the tree of size begins with that of old.
func (s *Signer) proveGrowth(ctx context.Context, old, size uint64) ([]tlog.Hash, error) {
	tx, err := s.db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, translate(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	return tlog.ProveTree(int64(size), int64(old), storedHashes{ctx, tx})
}
