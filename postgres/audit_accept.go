package postgres

import (
	"context"
	"fmt"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/privacy"
)

// AcceptRestored lets a signer of its own go on with a log that is shorter than the checkpoint
// lost, which it kept: the database was restored, and the house has said so in the log
// ([RestoreAuditLog]). It returns a checkpoint of the log as it is now, signed. The caller keeps
// lost itself, and answers for it. signed is nil if the log begins with lost: nothing was lost.
//
// It refuses, with an error that wraps [privacy.ErrConflict], as long as the log does not say
// that it was restored, below where lost ends: whoever runs the signer does not decide alone.
func AcceptRestored(ctx context.Context, db *DB, config SignerConfig, lost []byte) (signed []byte, err error) {
	config.Memory, config.Witnesses = nil, nil
	s, err := NewSigner(db, config)
	if err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	kept, _, err := s.open(lost, true)
	if err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	head, err := s.readCheckpoint(ctx, db.pool)
	if err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	if err := s.checkKept(ctx, db.pool, kept, head); err == nil {
		return nil, nil
	}
	said, err := s.saysRestored(ctx, kept)
	if err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	if !said {
		return nil, fmt.Errorf("the log does not say that it was restored; on the server run first: "+
			"mahrem erasure replay --danger-accept-older-log: %w", privacy.ErrConflict)
	}
	if err := s.Sign(ctx); err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	newest, err := s.newest(ctx)
	if err != nil {
		return nil, fmt.Errorf("accepting restored log: %w", err)
	}
	return newest.note, nil
}

// saysRestored reports whether one of the last entries says that the log was restored, at a
// place that the log had passed when kept was signed.
func (s *Signer) saysRestored(ctx context.Context, kept audit.Checkpoint) (bool, error) {
	rows, err := s.db.pool.Query(ctx, sqlAuditTail, restoredWithin)
	if err != nil {
		return false, fmt.Errorf("reading last entries: %w", translate(err))
	}
	stored, err := collectEntries(rows)
	if err != nil {
		return false, err
	}
	for i := range stored {
		entry, err := audit.ParseEntry(stored[i].Leaf)
		if err != nil {
			return false, err
		}
		if entry.Kind == audit.LogRestored && stored[i].Index < kept.Size {
			return true, nil
		}
	}
	return false, nil
}
