package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

const sqlSnapshotByManifest = `
select ` + snapshotColumns + `
from cleanroom.snapshot
where room_id = $1 and manifest_digest = $2 and state <> 'dropped'
order by snapshot_id desc
limit 1`

// Delivered is [cleanroom.Staging]'s.
func (s *SnapshotStore) Delivered(ctx context.Context, room cleanroom.RoomID, manifest audit.Digest) (*cleanroom.Snapshot, error) {
	rows, err := s.db.pool.Query(ctx, sqlSnapshotByManifest, string(room), manifest[:])
	if err != nil {
		return nil, fmt.Errorf("finding delivery: %w", translate(err))
	}
	found, err := pgx.CollectExactlyOneRow(rows, scanSnapshot)
	if err != nil {
		return nil, fmt.Errorf("finding delivery: %w", translate(err))
	}
	return &found, nil
}

const sqlSnapshotBeginMembers = `select cleanroom.begin_members($1, $2)`

// BeginMembers is [cleanroom.Staging]'s.
func (s *SnapshotStore) BeginMembers(ctx context.Context, id cleanroom.SnapshotID, statement audit.Digest) error {
	err := s.db.inTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlSnapshotBeginMembers, id, statement[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("beginning members: %w", err)
	}
	return nil
}

// The row of the snapshot is locked until the chunk is there: of two lines that bring the same
// one, the second finds that another comes next.
const (
	sqlSnapshotTookMembers = `
update cleanroom.snapshot
set member_chunks = member_chunks + 1, heard_at = clock_timestamp()
where snapshot_id = $1 and state = 'loading' and member_chunks = $2 and remasked_digest is not distinct from $3`
	sqlSnapshotTookRows = `
update cleanroom.snapshot
set row_chunks = row_chunks + 1, heard_at = clock_timestamp()
where snapshot_id = $1 and state = 'loading' and row_chunks = $2`
)

// TakeMembers is [cleanroom.Staging]'s.
func (s *SnapshotStore) TakeMembers(ctx context.Context, id cleanroom.SnapshotID, chunk int, statement audit.Digest, members []cleanroom.StagedMember) error {
	var from []byte
	if statement != (audit.Digest{}) {
		from = statement[:]
	}
	return s.take(ctx, func(tx pgx.Tx) error { return addStagedMembers(ctx, tx, id, members) }, sqlSnapshotTookMembers, id, chunk, from)
}

// TakeTokens is [cleanroom.Drawing]'s.
func (s *SnapshotStore) TakeTokens(ctx context.Context, id cleanroom.SnapshotID, chunk int, statement audit.Digest, first int, tokens [][]byte) error {
	set := func(tx pgx.Tx) error { return setTokens(ctx, tx, id, first, tokens) }
	return s.take(ctx, set, sqlSnapshotTookMembers, id, chunk, statement[:])
}

// TakeRows is [cleanroom.Staging]'s.
func (s *SnapshotStore) TakeRows(ctx context.Context, id cleanroom.SnapshotID, chunk int, rows []cleanroom.StagedRow) error {
	return s.take(ctx, func(tx pgx.Tx) error { return addStagedRows(ctx, tx, id, rows) }, sqlSnapshotTookRows, id, chunk)
}

// take adds a chunk together with that it is there.
func (s *SnapshotStore) take(ctx context.Context, add func(tx pgx.Tx) error, took string, arguments ...any) error {
	err := s.db.inTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, took, arguments...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("%w: %w", cleanroom.ErrMoved, privacy.ErrConflict)
		}
		return add(tx)
	})
	if err != nil {
		return fmt.Errorf("taking a chunk: %w", err)
	}
	return nil
}
