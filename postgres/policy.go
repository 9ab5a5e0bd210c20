package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// PolicyStore remembers which signed bundles were active, so that none comes back that
// another one has replaced.
type PolicyStore struct {
	db  *DB
	log transactor
}

// NewPolicyStore remembers in db, with entries in log.
func NewPolicyStore(db *DB, log *AuditLog) *PolicyStore { return &PolicyStore{db: db, log: log} }

// Activate records that a bundle becomes active on that statement, note, together with the entry for the event,
// and reports whether it was new: a bundle with the number and the digest of the highest
// one is active already, on another machine or before a restart, and adds nothing, no entry
// either. A [*policies.Refusal] says that a later one was active, or another one with the
// same number.
func (s *PolicyStore) Activate(ctx context.Context, signed policies.Signed, note []byte, event audit.Event) (bool, error) {
	// Mostly nothing is new, and then nothing needs a transaction.
	newest, err := s.newest(ctx)
	if err != nil {
		return false, fmt.Errorf("recording activation: %w", err)
	}
	if known, err := newest.has(signed); known || err != nil {
		return false, err
	}
	_, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlPolicyTurn); err != nil {
			return translate(err)
		}
		var newest activation
		if err := tx.QueryRow(ctx, sqlPolicyNewest).Scan(&newest.sequence, &newest.digest, &newest.note); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return translate(err)
		}
		if known, err := newest.has(signed); err != nil {
			return err
		} else if known {
			return errKnownActivation
		}
		_, err := tx.Exec(ctx, sqlPolicyActivate, int64(signed.Sequence), signed.Digest[:], signed.By, note)
		return translate(err)
	})
	switch {
	case errors.Is(err, errKnownActivation):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("recording activation: %w", err)
	}
	return true, nil
}

// Newest returns the digest of the bundle with the highest number and its statement, or an error that wraps
// [privacy.ErrNotFound] before the first.
func (s *PolicyStore) Newest(ctx context.Context) (digest [32]byte, note []byte, err error) {
	newest, err := s.newest(ctx)
	if err == nil && newest.sequence == 0 {
		err = privacy.ErrNotFound
	}
	if err != nil {
		return digest, nil, fmt.Errorf("reading activations: %w", err)
	}
	copy(digest[:], newest.digest)
	return digest, newest.note, nil
}

func (s *PolicyStore) newest(ctx context.Context) (newest activation, err error) {
	err = s.db.pool.QueryRow(ctx, sqlPolicyNewest).Scan(&newest.sequence, &newest.digest, &newest.note)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return activation{}, translate(err)
	}
	return newest, nil
}

const sqlPolicyNewest = `select sequence, digest, statement from policy.activation order by sequence desc limit 1`

// Two machines that get two bundles at the same moment take turns, so that the lower
// number is not added beside the higher one. The key is "policies" in ASCII.
const sqlPolicyTurn = `select pg_advisory_xact_lock(8101813454558029171)`

const sqlPolicyActivate = `insert into policy.activation (sequence, digest, signed_by, statement) values ($1, $2, $3, $4)`

// errKnownActivation ends a transaction that has nothing to say.
var errKnownActivation = errors.New("known activation")

// activation is a row of policy.activation; the zero value is before the first.
type activation struct {
	sequence     int64
	digest, note []byte
}

// has reports whether the newest activation is that of the bundle. The error says that
// the bundle must not come after it.
func (a activation) has(signed policies.Signed) (bool, error) {
	refuse := func(format string, args ...any) error {
		return &policies.Refusal{Check: policies.BundleSequence, Err: fmt.Errorf(format, args...)}
	}
	switch sequence := uint64(a.sequence); {
	case signed.Sequence > sequence:
		return false, nil
	case signed.Sequence < sequence:
		return false, refuse("its sequence is %d, and %d was active: %w", signed.Sequence, sequence, privacy.ErrConflict)
	case string(a.digest) != string(signed.Digest[:]):
		return false, refuse("another bundle with sequence %d was active: %w", sequence, privacy.ErrConflict)
	}
	return true, nil
}
