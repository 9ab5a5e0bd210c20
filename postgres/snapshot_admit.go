package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// What reads whole tables needs otherwise than a look-up by key, for one transaction.
const sqlSnapshotWhole = `
select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true),
    set_config('enable_nestloop', 'off', true), set_config('work_mem', '128MB', true),
    set_config('idle_in_transaction_session_timeout', '10min', true)`

func wholeTables(ctx context.Context, tx pgx.Tx) error {
	var ignored string
	return translate(tx.QueryRow(ctx, sqlSnapshotWhole).Scan(&ignored, &ignored, &ignored, &ignored, &ignored))
}

const sqlSnapshotIndex = `select cleanroom.index_staging($1)`

// Members without rows count as well as rows without members: both would make the sizes
// that were declared untrue.
const sqlSnapshotSizes = `
select (select count(*) from cleanroom.staged_member where snapshot_id = $1),
    (select count(*) from cleanroom.staged_row where snapshot_id = $1),
    (select count(*) from (select ordinal from cleanroom.staged_row where snapshot_id = $1 group by ordinal) r),
    (select count(*) from (select ordinal from cleanroom.staged_row where snapshot_id = $1 group by ordinal) r
        join cleanroom.staged_member m on m.ordinal = r.ordinal where m.snapshot_id = $1)`

const sqlSnapshotOthers = `
select snapshot_id, state
from cleanroom.snapshot
where room_id = $1 and owner = $2 and dataset = $3 and epoch = $4 and admitted_at is not null
order by snapshot_id`

const sqlSnapshotIdentifier = `select coalesce(identifier, '') from cleanroom.snapshot where snapshot_id = $1`

const sqlSnapshotAdmit = `
update cleanroom.snapshot
set state = 'staged', members = $2, rows = $3, admitted_at = clock_timestamp()
where snapshot_id = $1 and state = 'loading' and epoch = $4`

// Admit is [cleanroom.Staging]'s. A snapshot whose place it takes is dropped with an entry of
// its own.
func (s *SnapshotStore) Admit(ctx context.Context, id cleanroom.SnapshotID, event audit.Event) (audit.Receipt, error) {
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if err := wholeTables(ctx, tx); err != nil {
			return nil, err
		}
		rows, err := tx.Query(ctx, sqlSnapshotByID, id)
		if err != nil {
			return nil, translate(err)
		}
		n, err := pgx.CollectExactlyOneRow(rows, scanSnapshot)
		if err != nil {
			return nil, translate(err)
		}
		room, err := lockRoom(ctx, tx, n.Room)
		if err != nil {
			return nil, err
		}
		if n.Epoch != room.epoch+1 {
			return nil, fmt.Errorf("the room was matched meanwhile: %w", privacy.ErrConflict)
		}
		var identifier string
		if err := tx.QueryRow(ctx, sqlSnapshotIdentifier, id).Scan(&identifier); err != nil {
			return nil, translate(err)
		}
		if err := sameIdentifier(ctx, tx, n.Room, n.Dataset, identifier); err != nil {
			return nil, err
		}
		members, rowCount, err := s.checkSizes(ctx, tx, &n, room.minimumMembers)
		if err != nil {
			return nil, err
		}
		events := []audit.Event{event}
		events[0].List, events[0].Count = n.Manifest, uint64(members)
		replaced, err := s.replace(ctx, tx, &n)
		if err != nil {
			return nil, err
		}
		if replaced != nil {
			dropped := event
			dropped.Kind, dropped.List, dropped.Count = audit.SnapshotDropped, replaced.Manifest, 0
			events = append(events, dropped)
		}
		tag, err := tx.Exec(ctx, sqlSnapshotAdmit, id, members, rowCount, room.epoch+1)
		if err != nil {
			return nil, translate(err)
		}
		if tag.RowsAffected() != 1 {
			return nil, fmt.Errorf("the snapshot is not being loaded: %w", privacy.ErrConflict)
		}
		return events, nil
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("admitting snapshot: %w", err)
	}
	return receipts[0], nil
}

// checkSizes holds what was sent to what was declared.
func (s *SnapshotStore) checkSizes(ctx context.Context, tx pgx.Tx, n *cleanroom.Snapshot, minimum int64) (members, rows int64, err error) {
	if _, err := tx.Exec(ctx, sqlSnapshotIndex, n.ID); err != nil {
		return 0, 0, named(err)
	}
	var withRows, tied int64
	if err := tx.QueryRow(ctx, sqlSnapshotSizes, n.ID).Scan(&members, &rows, &withRows, &tied); err != nil {
		return 0, 0, translate(err)
	}
	switch {
	case n.Members != 0 && (members != n.Members || rows != n.Rows), withRows != members, tied != members:
		return 0, 0, fmt.Errorf("%w: %w", cleanroom.ErrSizes, privacy.ErrInvalid)
	case members < minimum:
		return 0, 0, fmt.Errorf("%w: %w", cleanroom.ErrTooFew, privacy.ErrInvalid)
	}
	return members, rows, nil
}

// replace drops the snapshot that waits in the place of n, if there is one.
func (s *SnapshotStore) replace(ctx context.Context, tx pgx.Tx, n *cleanroom.Snapshot) (*cleanroom.Snapshot, error) {
	rows, err := tx.Query(ctx, sqlSnapshotOthers, string(n.Room), string(n.Dataset.Owner), string(n.Dataset.Dataset), n.Epoch)
	if err != nil {
		return nil, translate(err)
	}
	var waiting []cleanroom.SnapshotID
	var id cleanroom.SnapshotID
	var state cleanroom.SnapshotState
	others := 0
	if _, err := pgx.ForEachRow(rows, []any{&id, &state}, func() error {
		others++
		if state == cleanroom.SnapshotStaged {
			waiting = append(waiting, id)
		}
		return nil
	}); err != nil {
		return nil, translate(err)
	}
	if others > 1 {
		return nil, fmt.Errorf("%w: %w", cleanroom.ErrReplaced, privacy.ErrConflict)
	}
	if len(waiting) == 0 {
		return nil, nil
	}
	list, err := holdSnapshots(ctx, tx, waiting)
	if err != nil || len(list) != 1 {
		return nil, err
	}
	if _, err := tx.Exec(ctx, sqlSnapshotDrop, waiting[0]); err != nil {
		return nil, translate(err)
	}
	return &list[0], nil
}
