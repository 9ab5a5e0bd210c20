package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

// CaseStore keeps the registry of cases. The gate reads it in its own statement.
type CaseStore struct {
	db  *DB
	log *AuditLog
}

var _ casework.Store = (*CaseStore)(nil)

// NewCaseStore returns a registry in db whose changes commit with their entries in log.
func NewCaseStore(db *DB, log *AuditLog) *CaseStore { return &CaseStore{db: db, log: log} }

// An erasure that is under way is waited for, and then there is nobody to open a case of.
const sqlCaseLockPerson = `
select 1 from vault.data_subject where data_subject_id = $1 and not erasing for key share`

const sqlCaseOpen = `
insert into gate.case_file (data_subject_id, case_id, recipient, kind, opened_at, ends_at)
select $1, $2, $3, $4, now.at, now.at + $5::interval
from (select clock_timestamp() as at offset 0) now
returning opened_at, ends_at`

// Open implements [casework.Store].
func (s *CaseStore) Open(ctx context.Context, c casework.Case, event audit.Event) (casework.Case, audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		id := pgtype.UUID{Bytes: c.DataSubject, Valid: true}
		var one int
		if err := tx.QueryRow(ctx, sqlCaseLockPerson, id).Scan(&one); err != nil {
			return translate(err)
		}
		err := tx.QueryRow(ctx, sqlCaseOpen, id, [16]byte(c.ID), string(c.Recipient), string(c.Kind), casework.Life).Scan(&c.OpenedAt, &c.EndsAt)
		c.OpenedAt, c.EndsAt = c.OpenedAt.UTC(), c.EndsAt.UTC()
		return translate(err)
	})
	if err != nil {
		return casework.Case{}, audit.Receipt{}, fmt.Errorf("recording case: %w", err)
	}
	return c, receipt, nil
}

const sqlCaseFind = `
select data_subject_id, case_id, recipient, kind, opened_at, ends_at, closed_at
from gate.case_file
where case_id = $1`

// Find implements [casework.Store].
func (s *CaseStore) Find(ctx context.Context, id casework.ID) (casework.Case, error) {
	rows, err := s.db.pool.Query(ctx, sqlCaseFind, [16]byte(id))
	if err != nil {
		return casework.Case{}, fmt.Errorf("finding case: %w", translate(err))
	}
	c, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (casework.Case, error) { return readCase(row) })
	if err != nil {
		return casework.Case{}, fmt.Errorf("finding case: %w", translate(err))
	}
	return c, nil
}

// A clock that was set back must not date the end before the beginning.
const sqlCaseClose = `
update gate.case_file
set closed_at = greatest(clock_timestamp(), opened_at)
where data_subject_id = $1 and case_id = $2 and closed_at is null and ends_at > clock_timestamp()`

// Close implements [casework.Store].
func (s *CaseStore) Close(ctx context.Context, c casework.Case, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlCaseClose, [16]byte(c.DataSubject), [16]byte(c.ID))
		if err == nil && tag.RowsAffected() == 0 {
			return privacy.ErrConflict
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("closing case: %w", err)
	}
	return receipt, nil
}

const sqlCaseList = `
select data_subject_id, case_id, recipient, kind, opened_at, ends_at, closed_at, clock_timestamp()
from gate.case_file
where ($1::uuid is null or data_subject_id = $1)
    and ($2::text = '' or recipient = $2)
    and ($3::boolean or closed_at is null and ends_at > clock_timestamp())
order by opened_at desc, case_id
limit $4`

// List implements [casework.Store].
func (s *CaseStore) List(ctx context.Context, filter casework.Filter, limit int) ([]casework.Case, time.Time, error) {
	person := pgtype.UUID{Bytes: filter.DataSubject, Valid: !filter.DataSubject.IsZero()}
	rows, err := s.db.pool.Query(ctx, sqlCaseList, person, string(filter.Recipient), filter.All, limit)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("listing cases: %w", translate(err))
	}
	var at time.Time
	cases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (casework.Case, error) {
		return readCase(row, &at)
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("listing cases: %w", translate(err))
	}
	return cases, at, nil
}

// readCase reads the columns of a case and what stands behind them.
func readCase(row pgx.CollectableRow, more ...any) (casework.Case, error) {
	var c casework.Case
	var closed *time.Time
	columns := []any{(*[16]byte)(&c.DataSubject), (*[16]byte)(&c.ID), &c.Recipient, &c.Kind, &c.OpenedAt, &c.EndsAt, &closed}
	err := row.Scan(append(columns, more...)...)
	c.OpenedAt, c.EndsAt = c.OpenedAt.UTC(), c.EndsAt.UTC()
	if closed != nil {
		c.ClosedAt = closed.UTC()
	}
	return c, err
}
