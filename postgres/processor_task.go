package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

const taskColumns = `request_id, processor_id, subject_request_id, kind, state, queued_at, accepted_at, expected_at, settled_at,
	heard_at, results_count, parts_failed, parts_skipped, parts_open, listed_open_reason, listed_open_at, version`

func readTask(row pgx.CollectableRow) (opendsr.Task, error) {
	var t opendsr.Task
	var accepted, expected, settled, heard, listed *time.Time
	var listing pgtype.Text
	err := row.Scan((*[16]byte)(&t.Request), &t.Processor, (*[16]byte)(&t.ID), &t.Kind, &t.State, &t.QueuedAt, &accepted, &expected, &settled,
		&heard, &t.ResultsCount, &t.PartsFailed, &t.PartsSkipped, &t.PartsOpen, &listing, &listed, &t.Version)
	if err != nil {
		return opendsr.Task{}, err
	}
	t.QueuedAt, t.Listing = t.QueuedAt.UTC(), opendsr.Listing(listing.String)
	for to, from := range map[*time.Time]*time.Time{
		&t.AcceptedAt: accepted, &t.ExpectedAt: expected, &t.SettledAt: settled, &t.HeardAt: heard, &t.ListedAt: listed,
	} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return t, nil
}

const sqlTasksOfRequest = `
select ` + taskColumns + `
from dsar.processor_task
where request_id = $1
order by processor_id`

// Tasks implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Tasks(ctx context.Context, request dsar.RequestID) ([]opendsr.Task, error) {
	return queryAll(ctx, s.db, "reading a request at its processors", readTask, sqlTasksOfRequest, [16]byte(request))
}

const sqlTasksWaiting = `
select ` + taskColumns + `
from dsar.processor_task
where state in ('pending', 'in_progress') and heard_at < $1
order by heard_at
limit $2`

// Waiting implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Waiting(ctx context.Context, since time.Time, limit int) ([]opendsr.Task, error) {
	return queryAll(ctx, s.db, "finding requests that processors are silent about", readTask, sqlTasksWaiting, since, limit)
}

// Two reports about the same task are taken one after the other.
const sqlTaskLock = `
select ` + taskColumns + `
from dsar.processor_task
where processor_id = $1 and subject_request_id = $2
for update`

const sqlMessageAdd = `
insert into dsar.processor_message (processor_id, digest, subject_request_id, received_at)
values ($1, $2, $3, clock_timestamp())
on conflict (processor_id, digest) do nothing`

const sqlTaskUpdate = `
update dsar.processor_task
set state = $3, accepted_at = $4, expected_at = $5, settled_at = $6, heard_at = $7, results_count = $8, parts_failed = $9,
	parts_skipped = $10, parts_open = $11, version = $12
where request_id = $1 and processor_id = $2`

// Report implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Report(ctx context.Context, processor string, id opendsr.SubjectRequestID, digest audit.Digest, event audit.Event,
	change func(opendsr.Task) (opendsr.Task, error),
) (opendsr.Task, error) {
	var task opendsr.Task
	_, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlTaskLock, processor, [16]byte(id))
		if err != nil {
			return translate(err)
		}
		task, err = pgx.CollectExactlyOneRow(rows, readTask)
		if errors.Is(err, pgx.ErrNoRows) {
			return &opendsr.Refusal{Check: opendsr.CheckRequestKnown, Reason: "this processor was told of no such request"}
		}
		if err != nil {
			return translate(err)
		}
		if digest != (audit.Digest{}) {
			tag, err := tx.Exec(ctx, sqlMessageAdd, processor, digest[:], [16]byte(id))
			if err != nil {
				return translate(err)
			}
			if tag.RowsAffected() == 0 {
				return &opendsr.Refusal{Check: opendsr.CheckReplay, Reason: "the same message came before"}
			}
		}
		next, err := change(task)
		if err != nil {
			return err
		}
		task = next
		_, err = tx.Exec(ctx, sqlTaskUpdate, [16]byte(task.Request), task.Processor, string(task.State), optionalTime(task.AcceptedAt),
			optionalTime(task.ExpectedAt), optionalTime(task.SettledAt), optionalTime(task.HeardAt), task.ResultsCount, task.PartsFailed,
			task.PartsSkipped, task.PartsOpen, task.Version)
		return translate(err)
	})
	if err != nil {
		return task, fmt.Errorf("noting what a processor said: %w", err)
	}
	return task, nil
}

const sqlTaskListOpen = `
update dsar.processor_task
set listed_open_at = clock_timestamp(), listed_open_by = $3, listed_open_reason = $4, version = version + 1
where request_id = $1 and processor_id = $2 and state <> 'completed' and listed_open_at is null`

const sqlTaskExists = `
select true from dsar.processor_task where request_id = $1 and processor_id = $2`

// ListOpen implements [opendsr.ProcessorStore].
func (s *ProcessorStore) ListOpen(ctx context.Context, request dsar.RequestID, processor string, by [16]byte, reason opendsr.Listing, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlTaskListOpen, [16]byte(request), processor, by[:], string(reason))
		if err != nil || tag.RowsAffected() == 1 {
			return translate(err)
		}
		var there bool
		if err := tx.QueryRow(ctx, sqlTaskExists, [16]byte(request), processor).Scan(&there); err != nil {
			return translate(err)
		}
		return privacy.ErrConflict
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("listing processor as open: %w", err)
	}
	return receipt, nil
}
