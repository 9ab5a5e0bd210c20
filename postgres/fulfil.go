package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/fulfil"
	"github.com/mahrem/mahrem/privacy"
)

// FulfilStore changes what is held about people because they asked for it.
type FulfilStore struct {
	db  *DB
	log *AuditLog
}

var _ fulfil.Store = (*FulfilStore)(nil)

// NewFulfilStore returns a store in db whose changes commit with their entries in log.
func NewFulfilStore(db *DB, log *AuditLog) *FulfilStore { return &FulfilStore{db: db, log: log} }

const sqlFulfilRecords = `
select slot, record_version, sealed
from vault.sealed_record
where data_subject_id = $1 and slot = any ($2::bytea[])`

// Held implements [fulfil.Store].
func (s *FulfilStore) Held(ctx context.Context, person privacy.DataSubjectID, slots [][16]byte) ([]byte, map[[16]byte]fulfil.SealedRecord, error) {
	wanted := make([][]byte, len(slots))
	for i := range slots {
		wanted[i] = slots[i][:]
	}
	var wrapped []byte
	records := map[[16]byte]fulfil.SealedRecord{}
	batch := &pgx.Batch{}
	batch.Queue(sqlVaultPersonKey, [16]byte(person)).QueryRow(func(row pgx.Row) error { return row.Scan(&wrapped) })
	batch.Queue(sqlFulfilRecords, [16]byte(person), wanted).Query(func(rows pgx.Rows) error {
		var slot, sealed []byte
		var version int64
		_, err := pgx.ForEachRow(rows, []any{&slot, &version, &sealed}, func() error {
			if len(slot) != 16 {
				return privacy.ErrDamaged
			}
			records[[16]byte(slot)] = fulfil.SealedRecord{Version: version, Sealed: append([]byte(nil), sealed...)}
			return nil
		})
		return err
	})
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, fmt.Errorf("reading records: %w", translate(err))
	}
	return wrapped, records, nil
}

// lockPersonTx waits for an erasure that is under way, and fails with [privacy.ErrNotFound]
// after one.
func lockPersonTx(ctx context.Context, tx pgx.Tx, person privacy.DataSubjectID) error {
	tag, err := tx.Exec(ctx, sqlConsentLockPerson, [16]byte(person))
	if err == nil && tag.RowsAffected() == 0 {
		return privacy.ErrNotFound
	}
	return translate(err)
}

// change commits a step with what do does to the person of its request. The person is
// locked first, as everywhere, so that nobody waits for somebody who waits for them.
func (s *FulfilStore) change(ctx context.Context, change dsar.Change, person privacy.DataSubjectID, do func(ctx context.Context, tx pgx.Tx) error) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		if err := lockPersonTx(ctx, tx, person); err != nil {
			return err
		}
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		return do(ctx, tx)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("carrying out a request: %w", err)
	}
	return receipt, nil
}

const sqlFulfilAddRecord = `
insert into vault.sealed_record (data_subject_id, slot, record_version, sealed)
values ($1, $2, 1, $3)`

const sqlFulfilReplaceRecord = `
update vault.sealed_record
set record_version = $3, sealed = $4, updated_at = now()
where data_subject_id = $1 and slot = $2 and record_version = $3 - 1`

// Replace implements [fulfil.Store].
func (s *FulfilStore) Replace(ctx context.Context, change dsar.Change, person privacy.DataSubjectID, records []fulfil.RecordChange) (audit.Receipt, error) {
	return s.change(ctx, change, person, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		for _, r := range records {
			if r.Version == 1 {
				batch.Queue(sqlFulfilAddRecord, [16]byte(person), r.Slot[:], r.Sealed)
				continue
			}
			batch.Queue(sqlFulfilReplaceRecord, [16]byte(person), r.Slot[:], r.Version, r.Sealed).Exec(func(tag pgconn.CommandTag) error {
				if tag.RowsAffected() == 0 {
					return privacy.ErrConflict
				}
				return nil
			})
		}
		return translate(tx.SendBatch(ctx, batch).Close())
	})
}

const sqlFulfilRestrict = `
update vault.data_subject
set restricted = $2
where data_subject_id = $1`

// restrictTx restricts the use of what is held about somebody, who leaves all clean rooms, or
// lifts that. The person is locked.
func restrictTx(ctx context.Context, tx pgx.Tx, db *DB, person privacy.DataSubjectID, restricted bool) error {
	if restricted {
		if err := db.leaveAllTx(ctx, tx, person); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, sqlFulfilRestrict, [16]byte(person), restricted)
	return translate(err)
}

// Restrict implements [fulfil.Store].
func (s *FulfilStore) Restrict(ctx context.Context, change dsar.Change, person privacy.DataSubjectID, restricted bool) (audit.Receipt, error) {
	return s.change(ctx, change, person, func(ctx context.Context, tx pgx.Tx) error {
		return restrictTx(ctx, tx, s.db, person, restricted)
	})
}

// Object implements [fulfil.Store].
func (s *FulfilStore) Object(ctx context.Context, change dsar.Change, record consent.Record) (audit.Receipt, error) {
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if err := lockPersonTx(ctx, tx, record.DataSubject); err != nil {
			return nil, err
		}
		if err := TakeTx(ctx, tx, change); err != nil {
			return nil, err
		}
		// The step has its entry, and the row of the ledger one that commits to it.
		step, objected := change.Event, change.Event
		step.Kind, objected.Kind = audit.RequestNoted, record.Action.Kind()
		said, err := addConsentsTx(ctx, tx, s.db, []consent.Record{record}, []audit.Event{objected})
		return append([]audit.Event{step}, said...), err
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("carrying out a request: %w", err)
	}
	return receipts[1], nil
}
