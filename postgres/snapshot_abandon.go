package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// endDraw is told that people of the house who were on their way into a room are so no longer.
type endDraw func(n *cleanroom.Snapshot) error

// errDrawEnds breaks off a transaction that has no entry and needs one.
var errDrawEnds = errors.New("a draw ends, which needs an entry")

// ending commits a change together with an entry for each draw that it ends: the event ended,
// with the digest of the manifest. A change that ends none has no entry.
func (s *SnapshotStore) ending(ctx context.Context, ended audit.Event, change func(ctx context.Context, tx pgx.Tx, ends endDraw) error) error {
	for {
		err := s.db.inTx(ctx, func(tx pgx.Tx) error {
			return change(ctx, tx, func(*cleanroom.Snapshot) error { return errDrawEnds })
		})
		if !errors.Is(err, errDrawEnds) {
			return err
		}
		receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) (events []audit.Event, err error) {
			err = change(ctx, tx, func(n *cleanroom.Snapshot) error {
				event := ended
				event.List = n.Manifest
				events = append(events, event)
				return nil
			})
			return events, translate(err)
		})
		// Without any, somebody else has ended it meanwhile, and the change is undone.
		if err != nil || len(receipts) > 0 {
			return err
		}
	}
}

// abandonTx forgets what is being loaded. A party says how many it brings before it does, and
// the house counts those whom it draws when they are in.
func abandonTx(ctx context.Context, tx pgx.Tx, id cleanroom.SnapshotID, ends endDraw) error {
	list, err := holdSnapshots(ctx, tx, []cleanroom.SnapshotID{id})
	if err != nil || len(list) == 0 || list[0].State != cleanroom.SnapshotLoading {
		return err
	}
	if list[0].Members == 0 {
		if err := ends(&list[0]); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, sqlSnapshotDrop, id)
	return err
}

// Abandon is [cleanroom.Staging]'s.
func (s *SnapshotStore) Abandon(ctx context.Context, id cleanroom.SnapshotID, ended audit.Event) error {
	err := s.ending(ctx, ended, func(ctx context.Context, tx pgx.Tx, ends endDraw) error { return abandonTx(ctx, tx, id, ends) })
	if err != nil {
		return fmt.Errorf("abandoning snapshot: %w", err)
	}
	return nil
}

// What is for a match that has been can be admitted no more.
const sqlSnapshotAbandoned = `
select s.snapshot_id, r.purpose
from cleanroom.snapshot s join cleanroom.room r on r.room_id = s.room_id
where s.state = 'loading' and (coalesce(s.heard_at, s.begun_at) < clock_timestamp() - make_interval(secs => $1) or s.epoch <= r.epoch)
order by s.snapshot_id`

// Sweep forgets what is on its way in and of which nothing has come for longer than that, or
// that comes too late for its match, and returns how many. A draw that ends so has its entry.
func (s *SnapshotStore) Sweep(ctx context.Context, longer time.Duration) (int, error) {
	rows, err := s.db.pool.Query(ctx, sqlSnapshotAbandoned, longer.Seconds())
	if err != nil {
		return 0, fmt.Errorf("finding abandoned snapshots: %w", translate(err))
	}
	type abandoned struct {
		id      cleanroom.SnapshotID
		purpose privacy.Purpose
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a abandoned, err error) {
		err = row.Scan(&a.id, &a.purpose)
		return a, err
	})
	if err != nil {
		return 0, fmt.Errorf("finding abandoned snapshots: %w", translate(err))
	}
	for i, a := range list {
		ended := audit.Event{Kind: audit.SnapshotDropped, Outcome: audit.Done, Purpose: a.purpose}
		if err := s.Abandon(ctx, a.id, ended); err != nil {
			return i, err
		}
	}
	return len(list), nil
}
