package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// SnapshotStore takes datasets into rooms, matches them and drops them.
type SnapshotStore struct {
	db  *DB
	log *AuditLog
	// random is where match ids come from.
	random io.Reader
}

var (
	_ cleanroom.Staging = (*SnapshotStore)(nil)
	_ cleanroom.Matches = (*SnapshotStore)(nil)
)

// NewSnapshotStore works in db, with entries in log.
func NewSnapshotStore(db *DB, log *AuditLog) *SnapshotStore {
	return &SnapshotStore{db, log, rand.Reader}
}

const snapshotColumns = `snapshot_id, room_id, owner, dataset, contract_version, manifest_digest, epoch, state, members, rows,
    member_chunks, row_chunks, remasked_digest, begun_at, heard_at, admitted_at, matched_at, dropped_at`

const (
	sqlSnapshots       = `select ` + snapshotColumns + ` from cleanroom.snapshot order by snapshot_id`
	sqlSnapshotsOfRoom = `select ` + snapshotColumns + ` from cleanroom.snapshot where room_id = $1 order by snapshot_id`
)

// Snapshots is [cleanroom.Matches]'s.
func (s *SnapshotStore) Snapshots(ctx context.Context, room cleanroom.RoomID) ([]cleanroom.Snapshot, error) {
	var rows pgx.Rows
	var err error
	if room == "" {
		rows, err = s.db.pool.Query(ctx, sqlSnapshots)
	} else {
		rows, err = s.db.pool.Query(ctx, sqlSnapshotsOfRoom, string(room))
	}
	if err != nil {
		return nil, fmt.Errorf("listing snapshots: %w", translate(err))
	}
	list, err := pgx.CollectRows(rows, scanSnapshot)
	if err != nil {
		return nil, fmt.Errorf("listing snapshots: %w", translate(err))
	}
	return list, nil
}

func scanSnapshot(row pgx.CollectableRow) (n cleanroom.Snapshot, err error) {
	var manifest, remasked []byte
	var heard, admitted, matched, dropped *time.Time
	if err := row.Scan(&n.ID, &n.Room, &n.Dataset.Owner, &n.Dataset.Dataset, &n.Contract, &manifest, &n.Epoch, &n.State,
		&n.Members, &n.Rows, &n.MemberChunks, &n.RowChunks, &remasked, &n.BegunAt, &heard, &admitted, &matched, &dropped); err != nil {
		return n, err
	}
	copy(n.Manifest[:], manifest)
	copy(n.Remasked[:], remasked)
	n.BegunAt = n.BegunAt.UTC()
	n.HeardAt = n.BegunAt
	for to, from := range map[*time.Time]*time.Time{&n.HeardAt: heard, &n.AdmittedAt: admitted, &n.MatchedAt: matched, &n.DroppedAt: dropped} {
		if from != nil {
			*to = from.UTC()
		}
	}
	return n, nil
}

const (
	sqlSnapshotByID = `select ` + snapshotColumns + ` from cleanroom.snapshot where snapshot_id = $1`
	sqlSnapshotHold = `select cleanroom.hold($1)`
	sqlSnapshotDrop = `select cleanroom.drop_snapshot($1)`
)

// Drop is [cleanroom.Matches]'s.
func (s *SnapshotStore) Drop(ctx context.Context, id cleanroom.SnapshotID, event audit.Event) (audit.Receipt, error) {
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		list, err := holdSnapshots(ctx, tx, []cleanroom.SnapshotID{id})
		if err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, privacy.ErrNotFound
		}
		if list[0].State == cleanroom.SnapshotDropped {
			return nil, fmt.Errorf("the snapshot has been dropped: %w", privacy.ErrConflict)
		}
		if _, err := tx.Exec(ctx, sqlSnapshotDrop, id); err != nil {
			return nil, translate(err)
		}
		event.List = list[0].Manifest
		return []audit.Event{event}, nil
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("dropping snapshot: %w", err)
	}
	return receipts[0], nil
}

// holdAttempts bounds how often a second is waited for questions that are being computed.
const holdAttempts = 120

// holdSnapshots waits until nobody reads these snapshots or leaves them, keeps it so until the
// transaction ends, and returns those that there are. Whoever leaves another room waits a
// second at most behind it.
func holdSnapshots(ctx context.Context, tx pgx.Tx, ids []cleanroom.SnapshotID) ([]cleanroom.Snapshot, error) {
	for attempt := 1; ; attempt++ {
		err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sqlSnapshotHold, ids)
			return err
		})
		if err == nil {
			break
		}
		if !isLockTimeout(err) || attempt == holdAttempts {
			return nil, translate(err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for questions to end: %w: %w", privacy.ErrUnavailable, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
	var list []cleanroom.Snapshot
	for _, id := range ids {
		rows, err := tx.Query(ctx, sqlSnapshotByID, id)
		if err != nil {
			return nil, translate(err)
		}
		found, err := pgx.CollectRows(rows, scanSnapshot)
		if err != nil {
			return nil, translate(err)
		}
		list = append(list, found...)
	}
	return list, nil
}
