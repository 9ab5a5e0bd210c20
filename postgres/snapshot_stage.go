package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/match"
	"github.com/mahrem/mahrem/privacy"
)

// maxStaged bounds the members or rows of one call.
const maxStaged = 65_536

func isLockTimeout(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pgErr.Code == "55P03" || pgErr.Code == "40P01")
}

// The room's row orders admissions and matches.
const sqlSnapshotLockRoom = `
select epoch, matched_at, minimum_epoch_seconds, minimum_members, closed_at, clock_timestamp()
from cleanroom.room
where room_id = $1
for update`

type lockedRoom struct {
	epoch          int
	matchedAt      *time.Time
	minimumEpoch   int64
	minimumMembers int64
	closedAt       *time.Time
	now            time.Time
}

func lockRoom(ctx context.Context, tx pgx.Tx, room cleanroom.RoomID) (r lockedRoom, err error) {
	err = tx.QueryRow(ctx, sqlSnapshotLockRoom, string(room)).Scan(&r.epoch, &r.matchedAt, &r.minimumEpoch, &r.minimumMembers, &r.closedAt, &r.now)
	if err != nil {
		return r, fmt.Errorf("finding room: %w", translate(err))
	}
	if r.closedAt != nil {
		return r, fmt.Errorf("the room is closed: %w", privacy.ErrConflict)
	}
	return r, nil
}

const sqlSnapshotLoading = `
select ` + snapshotColumns + `
from cleanroom.snapshot
where room_id = $1 and owner = $2 and dataset = $3 and state = 'loading'`

const sqlSnapshotBegin = `
insert into cleanroom.snapshot (room_id, owner, dataset, contract_version, manifest_digest, epoch, state, identifier, members, rows, begun_at)
values ($1, $2, $3, $4, $5, $6, 'loading', $7, $8, $9, clock_timestamp())
returning snapshot_id`

const sqlSnapshotBegunToday = `
select count(*)
from cleanroom.snapshot
where room_id = $1 and owner = $2 and dataset = $3 and begun_at > clock_timestamp() - interval '1 day'`

// fewBegun refuses a further delivery of a party. Draws of the house's own people are its own
// doing, and say no number of members. The room is locked.
func fewBegun(ctx context.Context, tx pgx.Tx, a *cleanroom.Admission) error {
	if a.Members == 0 {
		return nil
	}
	var begun int
	if err := tx.QueryRow(ctx, sqlSnapshotBegunToday, string(a.Room), string(a.Dataset.Owner), string(a.Dataset.Dataset)).Scan(&begun); err != nil {
		return translate(err)
	}
	if begun >= cleanroom.BegunADay {
		return fmt.Errorf("%w: %w", cleanroom.ErrBegun, privacy.ErrInvalid)
	}
	return nil
}

const sqlSnapshotAddStaging = `select cleanroom.add_staging($1)`

// Begin is [cleanroom.Staging]'s.
func (s *SnapshotStore) Begin(ctx context.Context, a cleanroom.Admission, ended audit.Event) (id cleanroom.SnapshotID, err error) {
	if a.Members < 0 || a.Rows < 0 || (a.Members == 0) != (a.Rows == 0) {
		return 0, fmt.Errorf("beginning snapshot: %w: %w", cleanroom.ErrSizes, privacy.ErrInvalid)
	}
	if !slices.Contains(match.Kinds(), a.Identifier) {
		return 0, fmt.Errorf("beginning snapshot: nobody is matched by this kind of identifier: %w", privacy.ErrInvalid)
	}
	err = s.ending(ctx, ended, func(ctx context.Context, tx pgx.Tx, ends endDraw) error {
		room, err := lockRoom(ctx, tx, a.Room)
		if err != nil {
			return err
		}
		if err := sameIdentifier(ctx, tx, a.Room, a.Dataset, string(a.Identifier)); err != nil {
			return err
		}
		if err := fewBegun(ctx, tx, &a); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlSnapshotLoading, string(a.Room), string(a.Dataset.Owner), string(a.Dataset.Dataset))
		if err != nil {
			return err
		}
		former, err := pgx.CollectRows(rows, scanSnapshot)
		if err != nil {
			return err
		}
		for i := range former {
			if err := abandonTx(ctx, tx, former[i].ID, ends); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, sqlSnapshotBegin, string(a.Room), string(a.Dataset.Owner), string(a.Dataset.Dataset), a.Contract,
			a.Manifest[:], room.epoch+1, string(a.Identifier), a.Members, a.Rows).Scan(&id); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlSnapshotAddStaging, id)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("beginning snapshot: %w", err)
	}
	return id, nil
}

const sqlSnapshotOtherIdentifier = `
select exists (
    select
    from cleanroom.snapshot
    where room_id = $1 and state = 'staged' and (owner, dataset) <> ($2, $3) and identifier <> $4
)`

// sameIdentifier refuses a dataset beside those that wait for the same match under another kind
// of identifier. The room is locked.
func sameIdentifier(ctx context.Context, tx pgx.Tx, room cleanroom.RoomID, dataset cleanroom.DatasetRef, identifier string) error {
	var other bool
	err := tx.QueryRow(ctx, sqlSnapshotOtherIdentifier, string(room), string(dataset.Owner), string(dataset.Dataset), identifier).Scan(&other)
	if err != nil {
		return translate(err)
	}
	if other {
		return fmt.Errorf("%w: %w", cleanroom.ErrIdentifiers, privacy.ErrInvalid)
	}
	return nil
}

// named gives what the database refuses about a list its name.
func named(err error) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == "23505" {
		return fmt.Errorf("%w: %w", cleanroom.ErrDuplicates, privacy.ErrInvalid)
	}
	return translate(err)
}

// addStagedMembers adds members in the caller's transaction.
func addStagedMembers(ctx context.Context, tx pgx.Tx, id cleanroom.SnapshotID, members []cleanroom.StagedMember) error {
	if len(members) > maxStaged {
		return fmt.Errorf("adding %d at once, of at most %d: %w", len(members), maxStaged, privacy.ErrInvalid)
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"cleanroom", "staged_member"}, []string{"snapshot_id", "ordinal", "token", "seat"},
		pgx.CopyFromSlice(len(members), func(i int) ([]any, error) {
			m := &members[i]
			return []any{int64(id), m.Ordinal, m.Token, m.Seat}, nil
		}))
	return named(err)
}

// stagedRowColumns are those of cleanroom.staged_row behind the snapshot and the ordinal.
var stagedRowColumns = []string{"snapshot_id", "ordinal", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "m1", "m2", "m3", "m4"}

// addStagedRows adds rows in the caller's transaction.
func addStagedRows(ctx context.Context, tx pgx.Tx, id cleanroom.SnapshotID, rows []cleanroom.StagedRow) error {
	if len(rows) > maxStaged {
		return fmt.Errorf("adding %d at once, of at most %d: %w", len(rows), maxStaged, privacy.ErrInvalid)
	}
	for i := range rows {
		if len(rows[i].Dimensions) > cleanroom.MaximumDimensions || len(rows[i].Measures) > cleanroom.MaximumMeasures {
			return fmt.Errorf("a row has too many columns: %w", privacy.ErrInvalid)
		}
		for _, m := range rows[i].Measures {
			if m < -cleanroom.LargestMeasure || m > cleanroom.LargestMeasure {
				return fmt.Errorf("a measure is out of all bounds: %w", privacy.ErrInvalid)
			}
		}
	}
	values := make([]any, len(stagedRowColumns))
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"cleanroom", "staged_row"}, stagedRowColumns,
		pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
			r := &rows[i]
			clear(values)
			values[0], values[1] = int64(id), r.Ordinal
			for j, d := range r.Dimensions {
				values[2+j] = d
			}
			for j, m := range r.Measures {
				values[2+cleanroom.MaximumDimensions+j] = m
			}
			return values, nil
		}))
	return translate(err)
}
