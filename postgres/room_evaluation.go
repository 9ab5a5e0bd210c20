package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// EvaluationStore counts what is evaluated for the parties of rooms.
type EvaluationStore struct {
	db  *DB
	log transactor
}

var _ match.Quotas = (*EvaluationStore)(nil)

// NewEvaluationStore returns a store in db whose changes commit with their entries in log.
func NewEvaluationStore(db *DB, log *AuditLog) *EvaluationStore { return &EvaluationStore{db, log} }

// The room is locked against a match, which would begin another epoch.
const sqlEvaluationRoom = `
select r.epoch
from cleanroom.room r join cleanroom.room_dataset d on d.room_id = r.room_id
where r.room_id = $1 and d.owner = $2 and d.dataset = $3 and r.closed_at is null
for share of r`

const sqlEvaluationDeclare = `
insert into cleanroom.evaluation (room_id, owner, dataset, epoch, members, elements, begun_at)
values ($1, $2, $3, $4, $5, 0, clock_timestamp())
on conflict (room_id, owner, dataset, epoch) do nothing`

const sqlEvaluationLock = `
select members, elements
from cleanroom.evaluation
where room_id = $1 and owner = $2 and dataset = $3 and epoch = $4
for update`

const sqlEvaluationTake = `
update cleanroom.evaluation
set elements = elements + $5
where room_id = $1 and owner = $2 and dataset = $3 and epoch = $4`

// Take implements [match.Quotas].
func (s *EvaluationStore) Take(ctx context.Context, t match.Taking, event audit.Event) (audit.Receipt, error) {
	room, owner, dataset := string(t.Room), string(t.Dataset.Owner), string(t.Dataset.Dataset)
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		var epoch int
		if err := tx.QueryRow(ctx, sqlEvaluationRoom, room, owner, dataset).Scan(&epoch); err != nil {
			return translate(err)
		}
		if t.Epoch != epoch+1 {
			return match.NotNext(epoch)
		}
		if t.Members < 1 || t.Elements < 1 || t.Elements > match.MaxBatch {
			return fmt.Errorf("nothing to count: %w", privacy.ErrInvalid)
		}
		if _, err := tx.Exec(ctx, sqlEvaluationDeclare, room, owner, dataset, t.Epoch, t.Members); err != nil {
			return translate(err)
		}
		var members, elements int64
		if err := tx.QueryRow(ctx, sqlEvaluationLock, room, owner, dataset, t.Epoch).Scan(&members, &elements); err != nil {
			return translate(err)
		}
		switch {
		case members != t.Members:
			return match.OtherSize()
		case elements+int64(t.Elements) > match.Quota(members):
			return match.ErrQuota
		}
		_, err := tx.Exec(ctx, sqlEvaluationTake, room, owner, dataset, t.Epoch, t.Elements)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("counting elements: %w", err)
	}
	return receipt, nil
}

const sqlEvaluationDeclared = `
select members, elements
from cleanroom.evaluation
where room_id = $1 and owner = $2 and dataset = $3 and epoch = $4`

// Declared implements [match.Quotas].
func (s *EvaluationStore) Declared(ctx context.Context, room cleanroom.RoomID, dataset cleanroom.DatasetRef, epoch int) (d match.Declared, err error) {
	err = s.db.pool.QueryRow(ctx, sqlEvaluationDeclared, string(room), string(dataset.Owner), string(dataset.Dataset), epoch).Scan(&d.Members, &d.Elements)
	if err != nil {
		return d, fmt.Errorf("finding what was declared: %w", translate(err))
	}
	return d, nil
}
