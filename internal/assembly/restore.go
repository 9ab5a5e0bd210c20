package assembly

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/postgres"
	"github.com/mahrem/mahrem/privacy"
)

// restoreLog lets a log go on that a restore has made shorter, when somebody answers for
// it: see [postgres.RestoreAuditLog]. The checkpoint of the longer log is kept beside. A log
// that lost nothing is left as it is.
func (h *House) restoreLog(ctx context.Context, by privacy.Principal) error {
	file := checkpointFileOf(h.Settings)
	lost, err := file.Load()
	if err != nil || lost == nil {
		return err
	}
	key, _, err := h.openKept(lost)
	if err != nil {
		return fmt.Errorf("comparing log with kept checkpoint: %w", err)
	}
	extends, err := postgres.ExtendsCheckpoint(ctx, h.DB, h.Settings.Origin, key, lost)
	if err != nil || extends {
		return err
	}
	next, err := postgres.RestoreAuditLog(ctx, h.DB, h.auditConfig(), lost, audit.Event{Principal: by})
	if err != nil {
		return err
	}
	return file.replace(lost, next)
}

// openKept opens a checkpoint that was kept, which a former key may have signed.
func (h *House) openKept(signed []byte) (key ed25519.PublicKey, c audit.Checkpoint, err error) {
	for _, key = range h.signing.keys() {
		verifier, failed := audit.NewVerifier(h.Settings.Origin, key)
		if failed != nil {
			return nil, c, failed
		}
		if c, err = audit.OpenCheckpoint(signed, verifier); err == nil {
			return key, c, nil
		}
	}
	return nil, c, err
}

// lostCheckpoint is where a checkpoint of a log is kept that lost entries in a restore.
func (f checkpointFile) lostCheckpoint(digest audit.Digest) string {
	return f.path + ".lost-" + hex.EncodeToString(digest[:8])
}

// replace puts old aside, where it stays, and next in its place. It does nothing when
// another process was quicker.
func (f checkpointFile) replace(old, next []byte) (err error) {
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }() // unlocks
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("locking %s: %w", dir.Name(), err)
	}
	now, err := f.Load()
	if err != nil || string(now) != string(old) {
		return err
	}
	if err := os.Link(f.path, f.lostCheckpoint(sha256.Sum256(old))); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keeping the checkpoint of the longer log: %w", err)
	}
	if err := dir.Sync(); err != nil {
		return err
	}
	temporary := filepath.Join(dir.Name(), "."+lastCheckpoint)
	if err := writeDurably(temporary, next); err != nil {
		return err
	}
	if err := os.Rename(temporary, f.path); err != nil {
		return err
	}
	return dir.Sync()
}

// LostHead is the end that a log lost in a restore.
type LostHead struct {
	audit.Restored
	// Size is what the log had; zero when the checkpoint that says so is not there any more.
	Size uint64 `json:"lost_size"`
	// File holds that checkpoint.
	File string `json:"lost_checkpoint"`
}

// LostHeads says of each restore that a log admits to what was lost, by the checkpoints that
// are kept beside the last one.
func (h *House) LostHeads(restored []audit.Restored) ([]LostHead, error) {
	var heads []LostHead
	for _, r := range restored {
		head := LostHead{Restored: r, File: checkpointFileOf(h.Settings).lostCheckpoint(r.Lost)}
		switch signed, err := os.ReadFile(head.File); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case sha256.Sum256(signed) == r.Lost:
			_, c, err := h.openKept(signed)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", head.File, err)
			}
			head.Size = c.Size
		}
		heads = append(heads, head)
	}
	return heads, nil
}
