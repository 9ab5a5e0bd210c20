package postgres

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// GateStore reads what the gate decides on and keeps its exposure ledger.
type GateStore struct {
	db    *DB
	log   *AuditLog
	loads loadQueue
	// within bounds one statement that loads. It is nobody's own context, because many wait.
	within time.Duration
}

var _ gate.Store = (*GateStore)(nil)

// NewGateStore returns the store over db, which commits exposures together with their
// entries in log.
func NewGateStore(db *DB, log *AuditLog) *GateStore {
	// The database has the other half of the processors, and fewer statements are larger.
	s := &GateStore{db: db, log: log, loads: loadQueue{workers: max(1, runtime.GOMAXPROCS(0)/2)}, within: AuditDeadline}
	if log != nil {
		s.within = log.config.Deadline // as patient as with the entry that follows
	}
	return s
}

// Resolve implements [gate.Store].
func (s *GateStore) Resolve(ctx context.Context, kind privacy.IdentifierKind, indexes [][]byte) (privacy.DataSubjectID, error) {
	// While blind indexes are rotated an identifier has several, and two people may hold
	// one each. Whose data it is nobody can say then, so it is nobody's.
	const sqlGateResolve = `
select data_subject_id
from vault.identifier
where kind = $1 and blind_index = any ($2)
group by data_subject_id
limit 2`
	rows, err := s.db.pool.Query(ctx, sqlGateResolve, string(kind), indexes)
	if err != nil {
		return privacy.DataSubjectID{}, fmt.Errorf("finding person by identifier: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return privacy.DataSubjectID{}, fmt.Errorf("finding person by identifier: %w", translate(err))
	}
	if len(found) != 1 {
		return privacy.DataSubjectID{}, fmt.Errorf("finding person by identifier: %d people have it: %w", len(found), privacy.ErrNotFound)
	}
	return privacy.DataSubjectID(found[0]), nil
}

// RecordExposure implements [gate.Store].
func (s *GateStore) RecordExposure(ctx context.Context, row gate.ExposureRow, event audit.Event) (audit.Receipt, error) {
	// The lock keeps the person from being erased in between, which would leave a row
	// that no later erasure finds a reason to look for.
	const sqlGateLockPerson = `
select 1 from vault.data_subject where data_subject_id = $1 and not erasing for key share`
	const sqlGateRecordExposure = `
insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at)
values ($1, $2, $3, $4, $5)`
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		id := pgtype.UUID{Bytes: row.DataSubject, Valid: true}
		var one int
		if err := tx.QueryRow(ctx, sqlGateLockPerson, id).Scan(&one); err != nil {
			return translate(err)
		}
		_, err := tx.Exec(ctx, sqlGateRecordExposure, id, string(row.Recipient), row.Number, row.Sealed, row.ReleasedAt)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("recording exposure: %w", err)
	}
	return receipt, nil
}
