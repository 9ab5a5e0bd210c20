package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// CheckpointStatus says who vouches for how much of the log.
type CheckpointStatus struct {
	// Entries is how many the log has now.
	Entries uint64 `json:"entries"`
	// Signed is how many the newest checkpoint covers, and SignedAt when it was signed.
	Signed   uint64    `json:"signed_entries"`
	SignedAt time.Time `json:"signed_at,omitzero"`
	// UnsignedSince is the time of the first entry that no checkpoint covers; zero if all are.
	UnsignedSince time.Time `json:"unsigned_since,omitzero"`
	// Demanded is whether a quorum of witnesses is.
	Demanded bool `json:"quorum_demanded"`
	// Quorum is whether the newest checkpoint has the quorum that is demanded.
	Quorum bool `json:"quorum"`
	// Cosigned is the size of the last checkpoint that witnesses have signed, enough of them
	// if a quorum is demanded; CosignedAt is when, and CosignedBy who, as the policy names them.
	Cosigned   uint64    `json:"cosigned_entries"`
	CosignedAt time.Time `json:"cosigned_at,omitzero"`
	CosignedBy []string  `json:"cosigned_by"`
	// WaitingSince is since when a checkpoint waits for its quorum; zero if none does.
	WaitingSince time.Time `json:"waiting_since,omitzero"`
	// Refusal is why this process does not sign or accept checkpoints any more.
	Refusal string `json:"refusal,omitempty"`
	// Alarm is what a witness says that must not be.
	Alarm string `json:"alarm,omitempty"`
}

// published returns the newest checkpoint with the lines of its witnesses. It passes over
// those without a quorum that are less than so much younger than one that has it.
func (s *Signer) published(ctx context.Context, within time.Duration) ([]byte, error) {
	policy := s.policy()
	limit := 1
	if policy.Demands() && within > 0 {
		limit = maxWaiting
	}
	notes, err := s.newestNotes(ctx, 0, limit)
	if err != nil {
		return nil, err
	}
	for i := range notes {
		if notes[0].signedAt.Sub(notes[i].signedAt) > within {
			break
		}
		signed := notes[i].cosigned(policy, s)
		if cosigned, err := policy.Check(signed, s.verifier); err == nil && cosigned.Quorum {
			return signed, nil
		}
	}
	if len(notes) == 0 {
		return nil, fmt.Errorf("nothing is signed yet: %w", privacy.ErrNotFound)
	}
	if _, err := audit.OpenCheckpoint(notes[0].note, s.verifier); err != nil {
		if _, _, former := s.open(notes[0].note, true); former == nil {
			return nil, fmt.Errorf("nothing is signed yet by the key that signs now: %w", privacy.ErrNotFound)
		}
		return nil, err
	}
	return notes[0].cosigned(policy, s), nil
}

// maxWaiting bounds how many checkpoints are looked at for one with a quorum: more than are
// signed in the time that one waits to be published.
const maxWaiting = 64

// readUnsigned finds out since when an entry waits to be signed. What does not parse says
// nothing of the time.
func (s *Signer) readUnsigned(ctx context.Context, status *CheckpointStatus) error {
	if status.Signed >= status.Entries {
		return nil
	}
	entries, err := readEntriesAt(ctx, s.db.pool, []uint64{status.Signed})
	if err != nil || len(entries) == 0 {
		return err
	}
	if entry, err := audit.ParseEntry(entries[0].Leaf); err == nil {
		status.UnsignedSince = entry.Time.UTC()
	}
	return nil
}

const sqlAuditFirstAfter = `
select signed_at from audit.checkpoint where size > $1 order by size limit 1`

// Status reads how far the log is signed and cosigned.
func (s *Signer) Status(ctx context.Context) (CheckpointStatus, error) {
	status := CheckpointStatus{Demanded: s.policy().Demands(), CosignedBy: []string{}}
	if err := s.Refusal(); err != nil {
		status.Refusal = err.Error()
	}
	if err := s.Alarms(); err != nil {
		status.Alarm = err.Error()
	}
	head, err := s.readCheckpoint(ctx, s.db.pool)
	if err != nil {
		return status, fmt.Errorf("reading state of checkpoints: %w", err)
	}
	status.Entries = head.Size
	if err := s.readCosigned(ctx, &status); err != nil {
		return status, fmt.Errorf("reading state of checkpoints: %w", err)
	}
	if err := s.readUnsigned(ctx, &status); err != nil {
		return status, fmt.Errorf("reading state of checkpoints: %w", err)
	}
	if !status.Demanded || status.Quorum || status.Signed == 0 {
		return status, nil
	}
	err = s.db.pool.QueryRow(ctx, sqlAuditFirstAfter, int64(status.Cosigned)).Scan(&status.WaitingSince)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return status, fmt.Errorf("reading state of checkpoints: %w", translate(err))
	}
	return status, nil
}

const sqlAuditLastCosigned = `
select c.size, c.note, c.signed_at,
    array(select g.line from audit.cosignature g where g.size = c.size order by g.key_name limit 64)
from audit.checkpoint c
where c.size > $1 and exists (select from audit.cosignature g where g.size = c.size)
order by c.size desc limit $2`

// maxCosigned bounds how far back the last quorum is looked for by a process that has never
// seen one.
const maxCosigned = 1000

func (s *Signer) readCosigned(ctx context.Context, status *CheckpointStatus) error {
	newest, err := s.newest(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	status.Signed, status.SignedAt = newest.size, newest.signedAt.UTC()
	s.mu.Lock()
	above := s.cosized
	s.mu.Unlock()
	// The last one that had it is looked at again: who signed it is wanted too.
	rows, err := s.db.pool.Query(ctx, sqlAuditLastCosigned, int64(above)-1, maxCosigned)
	if err != nil {
		return translate(err)
	}
	notes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n storedNote, err error) {
		var size int64
		err = row.Scan(&size, &n.note, &n.signedAt, &n.lines)
		n.size = uint64(size)
		return n, err
	})
	if err != nil {
		return translate(err)
	}
	policy := s.policy()
	for i := range notes {
		cosigned, err := policy.Check(notes[i].cosigned(policy, s), s.verifier)
		if err != nil || !cosigned.Quorum || len(cosigned.Cosignatures) == 0 {
			continue
		}
		status.take(&cosigned, newest.size)
		s.mu.Lock()
		s.cosized = max(s.cosized, cosigned.Checkpoint.Size)
		s.mu.Unlock()
		return nil
	}
	return nil
}

func (status *CheckpointStatus) take(c *witness.Cosigned, newest uint64) {
	status.Cosigned = c.Checkpoint.Size
	status.Quorum = status.Demanded && c.Checkpoint.Size == newest
	status.CosignedAt = c.At
	for _, one := range c.Cosignatures {
		status.CosignedBy = append(status.CosignedBy, one.Witness)
		if !status.Demanded && one.Time.After(status.CosignedAt) {
			status.CosignedAt = one.Time
		}
	}
}

// CheckpointStatus reads how far the log is signed and cosigned.
func (l *AuditLog) CheckpointStatus(ctx context.Context) (CheckpointStatus, error) {
	if l.checkpoints == nil {
		return CheckpointStatus{}, fmt.Errorf("reading state of checkpoints without the log's public key: %w", privacy.ErrInvalid)
	}
	return l.checkpoints.Status(ctx)
}
