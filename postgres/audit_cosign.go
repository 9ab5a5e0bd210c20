package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/audit/witness"
	"github.com/mahrem/mahrem/privacy"
)

// ErrRolledBack says that a witness has cosigned more of this log than there is: entries
// are gone, and the signer's own memory with them. It comes with [privacy.ErrDamaged].
var ErrRolledBack = errors.New("a witness has cosigned a larger log than this one")

const sqlAuditInsertCosignature = `
insert into audit.cosignature (size, key_name, line) values ($1, $2, $3)
on conflict (size, key_name) do nothing`

// offer tells the loop that there is something to be cosigned.
func (s *Signer) offer() {
	select {
	case s.fresh <- struct{}{}:
	default: // it knows
	}
}

// askAgain is how long after a witness did not sign it is asked again.
const askAgain = 5 * time.Second

// cosignLoop asks the witnesses about the newest checkpoint, one after the other. One that
// was signed while they were busy waits for its turn, and the newest of those has it.
func (s *Signer) cosignLoop(ctx context.Context) {
	s.offer()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.fresh:
		case <-again:
		}
		again = nil
		if err := s.Cosign(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Error("checkpoint not cosigned by all witnesses", "error", err)
			again = time.After(askAgain)
		}
	}
}

// Cosign asks every witness for its signature under the newest stored checkpoint, checks
// what comes, and stores it. The error joins what became of those that did not sign. One
// that wraps [witness.ErrForked] or [ErrRolledBack] says that somebody keeps another history
// of this log; [Signer.Alarms] repeats it until that witness signs again.
func (s *Signer) Cosign(ctx context.Context) error {
	if s.asks == nil {
		return nil
	}
	row, err := s.newest(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading latest checkpoint: %w", err)
	}
	checkpoint, err := audit.OpenCheckpoint(row.note, s.verifier)
	if err != nil {
		return err
	}
	var errs []error
	for _, answer := range s.asks.Collect(ctx, row.note, checkpoint) {
		err := answer.Err
		if err == nil {
			err = s.storeCosignature(ctx, checkpoint, answer.Cosignature)
		}
		if err = s.judge(ctx, err); err != nil {
			errs = append(errs, fmt.Errorf("witness %s: %w", answer.Witness, err))
		}
		s.alarm(answer.Witness, err)
	}
	return errors.Join(errs...)
}

// judge tells a witness that is ahead because another process of this house was quicker
// from one that has seen what is not there any more.
func (s *Signer) judge(ctx context.Context, err error) error {
	var ahead *witness.AheadError
	if !errors.As(err, &ahead) {
		return err
	}
	row, readErr := s.newest(ctx)
	if readErr != nil {
		return fmt.Errorf("%w; reading latest checkpoint: %w", err, readErr)
	}
	if row.size >= ahead.Size {
		s.offer()
		return nil
	}
	return fmt.Errorf("%w: it has %d entries: %w", ErrRolledBack, ahead.Size, privacy.ErrDamaged)
}

func (s *Signer) alarm(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, witness.ErrForked) || errors.Is(err, ErrRolledBack) {
		s.alarms[name] = err
	} else if err == nil {
		delete(s.alarms, name)
	}
}

// Alarms are what witnesses say that must not be: that the log was forked or rolled back.
// A witness that is merely away is none, nor is one whose answers make no sense, such as a
// page of a proxy: that says nothing of the log.
func (s *Signer) Alarms() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, err := range s.alarms {
		errs = append(errs, fmt.Errorf("witness %s: %w", name, err))
	}
	slices.SortFunc(errs, func(a, b error) int { return compareText(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (s *Signer) storeCosignature(ctx context.Context, of audit.Checkpoint, c witness.Cosignature) error {
	if ahead := c.Time.Sub(s.config.Now()); ahead > clockSkew {
		return fmt.Errorf("its clock is %v ahead: %w", ahead.Round(time.Second), privacy.ErrDamaged)
	}
	_, err := s.db.pool.Exec(ctx, sqlAuditInsertCosignature, int64(of.Size), c.Key, c.Line)
	if err != nil {
		return fmt.Errorf("storing cosignature: %w", translate(err))
	}
	return nil
}

// clockSkew is how far the clock of a witness may be ahead.
const clockSkew = 5 * time.Minute

// storedNote is a stored checkpoint with what witnesses have put under it.
type storedNote struct {
	size     uint64
	note     []byte
	signedAt time.Time
	lines    []string
}

// cosigned is the note with the lines that can stand under it. Lines are as somebody with
// every right in the database left them: one that spoils the note is left out.
func (n *storedNote) cosigned(policy *witness.Policy, s *Signer) []byte {
	signed := n.note
	for _, line := range n.lines {
		with := witness.Attach(signed, line)
		if _, err := policy.Check(with, s.verifier); err == nil {
			signed = with
		}
	}
	return signed
}

const sqlAuditNewestNotes = `
select c.size, c.note, c.signed_at,
    array(select g.line from audit.cosignature g where g.size = c.size order by g.key_name limit 64)
from audit.checkpoint c where c.size > $1 order by c.size desc limit $2`

// newestNotes returns the newest stored checkpoints above a size, the newest first.
func (s *Signer) newestNotes(ctx context.Context, above uint64, limit int) ([]storedNote, error) {
	rows, err := s.db.pool.Query(ctx, sqlAuditNewestNotes, int64(above), limit)
	if err != nil {
		return nil, translate(err)
	}
	notes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n storedNote, err error) {
		var size int64
		err = row.Scan(&size, &n.note, &n.signedAt, &n.lines)
		n.size = uint64(size)
		return n, err
	})
	return notes, translate(err)
}

func (s *Signer) newest(ctx context.Context) (storedNote, error) {
	notes, err := s.newestNotes(ctx, 0, 1)
	if err == nil && len(notes) == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		return storedNote{}, err
	}
	return notes[0], nil
}

// anybody is the policy of those who have none: lines are passed on, nobody is demanded.
var anybody = func() *witness.Policy {
	policy, err := witness.ParsePolicy([]byte("quorum none"))
	if err != nil {
		panic(err)
	}
	return policy
}()

func (s *Signer) policy() *witness.Policy {
	if s.config.Witnesses == nil {
		return anybody
	}
	return s.config.Witnesses
}
