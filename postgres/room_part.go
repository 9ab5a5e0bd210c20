package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/privacy"
)

// StayStore looks again at the house's people in clean rooms.
type StayStore struct {
	*DrawStore
	log *AuditLog
}

var _ draw.Stays = (*StayStore)(nil)

// NewStayStore returns the store over the one by which people were drawn.
func NewStayStore(drawn *DrawStore, log *AuditLog) *StayStore { return &StayStore{drawn, log} }

const sqlStayed = `
select s.snapshot_id, s.room_id, s.owner, s.dataset, s.manifest_digest, p.purpose
from (select distinct snapshot_id, purpose from cleanroom.presence) p
join cleanroom.snapshot s on s.snapshot_id = p.snapshot_id
order by s.snapshot_id, p.purpose`

// Stayed implements [draw.Stays].
func (s *StayStore) Stayed(ctx context.Context) ([]draw.Stayed, error) {
	rows, err := s.db.pool.Query(ctx, sqlStayed)
	if err != nil {
		return nil, fmt.Errorf("finding rooms with people of the house: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (at draw.Stayed, err error) {
		var manifest []byte
		err = row.Scan(&at.Snapshot, &at.Room, &at.Dataset.Owner, &at.Dataset.Dataset, &manifest, &at.Purpose)
		copy(at.Manifest[:], manifest)
		return at, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding rooms with people of the house: %w", translate(err))
	}
	return found, nil
}

// One process at a time takes people out of a snapshot, so that nobody leaves it twice.
const sqlPartTurn = `
select pg_advisory_xact_lock(hashtextextended('cleanroom.part/' || $1::bigint, 0))`

const sqlPartPresent = `
select data_subject_id
from cleanroom.presence
where snapshot_id = $1 and purpose = $2 and data_subject_id = any ($3::uuid[])`

// Part implements [draw.Stays]. Whoever withdraws at the same moment either is gone when the
// lock is given, or waits and finds that they are.
func (s *StayStore) Part(ctx context.Context, stayed *draw.Stayed, wanted draw.Wanted, people []privacy.DataSubjectID, judge func(at time.Time, held []draw.Held) ([]draw.Leaver, error)) (int, error) {
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		if _, err := tx.Exec(ctx, sqlPartTurn, int64(stayed.Snapshot)); err != nil {
			return nil, translate(err)
		}
		held, at, err := s.hold(ctx, tx, wanted, people)
		if err != nil {
			return nil, translate(err)
		}
		present, err := s.presentTx(ctx, tx, stayed, held)
		if err != nil {
			return nil, translate(err)
		}
		held = slices.DeleteFunc(held, func(h draw.Held) bool { return !present[h.DataSubject] })
		leavers, err := judge(at, held)
		if err != nil {
			return nil, err
		}
		var from []inRoom
		var events []audit.Event
		for i := range leavers {
			from = append(from, inRoom{leavers[i].DataSubject, stayed.Snapshot, stayed.Purpose})
			events = append(events, audit.Event{
				Kind: audit.RoomLeft, Outcome: audit.Done, Subject: leavers[i].Subject, Purpose: stayed.Purpose, List: stayed.Manifest,
			})
		}
		return events, s.db.leaveTx(ctx, tx, from)
	})
	if err != nil {
		return 0, fmt.Errorf("taking people out of a room: %w", err)
	}
	return len(receipts), nil
}

// presentTx finds who of the people is in a snapshot. They are locked.
func (s *StayStore) presentTx(ctx context.Context, tx pgx.Tx, stayed *draw.Stayed, held []draw.Held) (map[privacy.DataSubjectID]bool, error) {
	ids := make([][16]byte, len(held))
	for i := range held {
		ids[i] = held[i].DataSubject
	}
	rows, err := tx.Query(ctx, sqlPartPresent, int64(stayed.Snapshot), string(stayed.Purpose), ids)
	if err != nil {
		return nil, err
	}
	present := map[privacy.DataSubjectID]bool{}
	var id privacy.DataSubjectID
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&id)}, func() error {
		present[id] = true
		return nil
	})
	return present, err
}

// What is out of date from some moment on, and what will be, is known before.
const sqlStaleSince = `
select coalesce(max(s.stale_at), 'epoch'), clock_timestamp()
from consent.stale_notice s
where s.stale_at <= clock_timestamp()`

// StaleSince returns since when the last wording is out of date that has become so, and what
// time it is.
func (s *StayStore) StaleSince(ctx context.Context) (since, now time.Time, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlStaleSince).Scan(&since, &now); err != nil {
		return since, now, fmt.Errorf("looking for wordings out of date: %w", translate(err))
	}
	return since, now, nil
}
