package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
)

// CheckpointMemory keeps the last signed checkpoint where a superuser of the database
// cannot reach it. A log is only as immutable as somebody remembers it: this is the
// smallest such somebody. Several processes may use one memory.
type CheckpointMemory interface {
	// Load returns the note that was kept last, or nil and no error if there is none.
	Load() ([]byte, error)
	// Keep returns after the note is durable. It must leave a note of a larger log, which
	// another process may have kept meanwhile, as it is.
	Keep(note []byte) error
	// String names the place, for messages.
	String() string
}

// recallKept returns the checkpoint in the memory, or the empty one. One by a former key
// counts as well, until the key that signs now has signed.
func (s *Signer) recallKept() (audit.Checkpoint, error) {
	none := audit.Checkpoint{Origin: s.config.Origin}
	if s.config.Memory == nil {
		return none, nil
	}
	signed, err := s.config.Memory.Load()
	if err != nil {
		return none, fmt.Errorf("reading kept checkpoint: %w", err)
	}
	if signed == nil {
		return none, nil
	}
	kept, own, err := s.open(signed, !s.took.Load())
	if err != nil {
		return none, fmt.Errorf("%v is no checkpoint of this log: %w", s.config.Memory, err)
	}
	if own {
		s.took.Store(true)
	}
	return kept, nil
}

// open opens a checkpoint by the key that signs now, or by a former one if that may still
// be. It reports which of them it was.
func (s *Signer) open(signed []byte, former bool) (c audit.Checkpoint, own bool, err error) {
	if c, err = audit.OpenCheckpoint(signed, s.verifier); err == nil {
		return c, true, nil
	}
	if former {
		for _, key := range s.former {
			if c, failed := audit.OpenCheckpoint(signed, key); failed == nil {
				return c, false, nil
			}
		}
	}
	return c, false, err
}

// checkKept proves that the log with that head begins with the kept checkpoint.
func (s *Signer) checkKept(ctx context.Context, q querier, kept, head audit.Checkpoint) error {
	if kept.Size == 0 || kept == head {
		return nil
	}
	if err := checkGrowth(ctx, q, kept, head); err != nil {
		return fmt.Errorf("the log is not the one whose checkpoint is kept in %v; unless you restored an older database "+
			"yourself, somebody has changed it: copy both as evidence and run: mahrem audit verify; "+
			"after a restore of your own, run: mahrem erasure replay --danger-accept-older-log: %w", s.config.Memory, err)
	}
	return nil
}

// checkMemory compares the log, when it is opened, with the checkpoint that was kept. A
// memory without one begins with the newest stored checkpoint, and somebody is told.
func (s *Signer) checkMemory(ctx context.Context) error {
	if s.config.Memory == nil {
		return nil
	}
	kept, err := s.recallKept()
	if err != nil {
		return err
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
	if kept.Size > 0 {
		return s.checkKept(ctx, tx, kept, head)
	}
	var signed []byte
	err = tx.QueryRow(ctx, sqlAuditLatestCheckpoint).Scan(&signed)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil // nothing was ever signed
	}
	if err != nil {
		return fmt.Errorf("reading latest checkpoint: %w", translate(err))
	}
	stored, _, err := s.open(signed, true)
	if err != nil {
		return err
	}
	if stored != head {
		if err := checkGrowth(ctx, tx, stored, head); err != nil {
			return err
		}
	}
	s.config.Logger.Warn("no checkpoint was kept outside the database although some were signed; "+
		"that the log was not changed until now is not shown. Compare it with one that somebody kept: mahrem audit verify --checkpoint FILE",
		"file", s.config.Memory.String(), "size", stored.Size)
	if _, err := audit.OpenCheckpoint(signed, s.verifier); err != nil {
		return nil // by a key before this one, which will sign soon
	}
	if err := s.config.Memory.Keep(signed); err != nil {
		return fmt.Errorf("keeping checkpoint: %w", err)
	}
	return nil
}
