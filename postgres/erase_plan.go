package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

const sqlErasePlanAdd = `
insert into dsar.plan (request_id, plan_hash, held, sealed, planned_at, planned_by)
values ($1, $2, $3, $4, $5, $6)
on conflict (request_id, plan_hash) do update set planned_at = excluded.planned_at`

// SavePlan is [dsar.EraseStore]'s.
func (s *EraseStore) SavePlan(ctx context.Context, plan dsar.StoredPlan, change dsar.Change) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlErasePlanAdd, [16]byte(plan.Request), plan.Hash[:], plan.Held[:], plan.Sealed, plan.At, plan.By[:])
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("saving plan: %w", err)
	}
	return receipt, nil
}

const sqlErasePlanLast = `
select p.plan_hash, p.held, p.sealed, p.planned_at, p.planned_by, p.deferred_at,
	array(select a.actor from dsar.approval a where a.request_id = p.request_id and a.plan_hash = p.plan_hash order by a.approved_at, a.actor)
from dsar.plan p
where p.request_id = $1
order by p.planned_at desc, p.plan_hash
limit 1`

// LastPlan is [dsar.EraseStore]'s.
func (s *EraseStore) LastPlan(ctx context.Context, request dsar.RequestID) (dsar.StoredPlan, error) {
	plan := dsar.StoredPlan{Request: request}
	var hash, held, by []byte
	var deferred *time.Time
	var approvals [][]byte
	err := s.db.pool.QueryRow(ctx, sqlErasePlanLast, [16]byte(request)).Scan(&hash, &held, &plan.Sealed, &plan.At, &by, &deferred, &approvals)
	if err != nil {
		return dsar.StoredPlan{}, fmt.Errorf("reading plan: %w", translate(err))
	}
	plan.Hash, plan.Held, plan.By, plan.At = audit.Digest(hash), audit.Digest(held), [16]byte(by), plan.At.UTC()
	if deferred != nil {
		plan.DeferredAt = deferred.UTC()
	}
	for _, actor := range approvals {
		plan.Approvals = append(plan.Approvals, [16]byte(actor))
	}
	return plan, nil
}

const sqlEraseApprove = `
insert into dsar.approval (request_id, plan_hash, actor, approved_at)
values ($1, $2, $3, $4)`

// Approve is [dsar.EraseStore]'s.
func (s *EraseStore) Approve(ctx context.Context, request dsar.RequestID, plan audit.Digest, actor [16]byte, change dsar.Change) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlEraseApprove, [16]byte(request), plan[:], actor[:], change.Step.At)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("approving plan: %w", err)
	}
	return receipt, nil
}

const sqlEraseWholeHold = `
select exists (select from dsar.holds_on($1) h where h.scope is null)`

const sqlEraseRestrict = `
update vault.data_subject set restricted = true where data_subject_id = $1`

const sqlErasePlanDefer = `
update dsar.plan set deferred_at = $3 where request_id = $1 and plan_hash = $2 and deferred_at is null`

// Defer is [dsar.EraseStore]'s.
func (s *EraseStore) Defer(ctx context.Context, id privacy.DataSubjectID, plan audit.Digest, change dsar.Change) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		var held bool
		batch := &pgx.Batch{}
		batch.Queue(sqlEraseLock, [16]byte(id)).Exec(exactly(1))
		batch.Queue(sqlEraseWholeHold, [16]byte(id)).QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return translate(err)
		}
		if !held {
			return privacy.ErrConflict // it was released: go on
		}
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		batch = &pgx.Batch{}
		batch.Queue(sqlEraseRestrict, [16]byte(id))
		batch.Queue(sqlErasePlanDefer, [16]byte(change.After.ID), plan[:], change.Step.At).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() != 1 {
				return privacy.ErrConflict // somebody else has deferred it
			}
			return nil
		})
		return translate(tx.SendBatch(ctx, batch).Close())
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("deferring: %w", err)
	}
	return receipt, nil
}

const sqlEraseDeferred = `
select distinct p.request_id
from dsar.plan p join dsar.request r on r.request_id = p.request_id
where p.deferred_at is not null and r.closed_at is null and r.erased_at is null`

// Deferred is [dsar.EraseStore]'s.
func (s *EraseStore) Deferred(ctx context.Context) ([]dsar.RequestID, error) {
	rows, err := s.db.pool.Query(ctx, sqlEraseDeferred)
	if err != nil {
		return nil, fmt.Errorf("reading deferred erasures: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("reading deferred erasures: %w", translate(err))
	}
	requests := make([]dsar.RequestID, len(found))
	for i := range found {
		requests[i] = found[i]
	}
	return requests, nil
}
