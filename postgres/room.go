package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// RoomStore keeps who takes part in clean rooms, the rooms, and what was signed for them.
type RoomStore struct {
	db  *DB
	log transactor
}

var _ cleanroom.Registry = (*RoomStore)(nil)

// NewRoomStore returns a store in db whose changes commit with their entries in log.
func NewRoomStore(db *DB, log *AuditLog) *RoomStore { return &RoomStore{db, log} }

const sqlPartyAdd = `
insert into cleanroom.party (party_id, verifier, added_at)
values ($1, $2, clock_timestamp())`

// AddParty implements [cleanroom.Registry].
func (s *RoomStore) AddParty(ctx context.Context, party cleanroom.Party, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "adding party", event, privacy.ErrConflict, sqlPartyAdd, string(party.ID), party.Key)
}

const sqlPartyRemove = `
update cleanroom.party
set removed_at = greatest(clock_timestamp(), added_at)
where party_id = $1 and removed_at is null`

// RemoveParty implements [cleanroom.Registry].
func (s *RoomStore) RemoveParty(ctx context.Context, party cleanroom.PartyID, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "removing party", event, privacy.ErrNotFound, sqlPartyRemove, string(party))
}

func readParty(row pgx.CollectableRow) (cleanroom.Party, error) {
	var p cleanroom.Party
	var removed *time.Time
	err := row.Scan(&p.ID, &p.Key, &p.AddedAt, &removed)
	p.AddedAt = p.AddedAt.UTC()
	if removed != nil {
		p.RemovedAt = removed.UTC()
	}
	return p, err
}

const sqlPartyFind = `
select party_id, verifier, added_at, removed_at
from cleanroom.party
where party_id = $1 and removed_at is null`

// PartyOf implements [cleanroom.Registry].
func (s *RoomStore) PartyOf(ctx context.Context, party cleanroom.PartyID) (*cleanroom.Party, error) {
	found, err := queryFirst(ctx, s.db, "finding party", readParty, sqlPartyFind, string(party))
	if err != nil {
		return nil, err
	}
	return &found, nil
}

const sqlPartyList = `
select party_id, verifier, added_at, removed_at
from cleanroom.party
where removed_at is null or $1
order by party_id, added_at`

// Parties implements [cleanroom.Registry].
func (s *RoomStore) Parties(ctx context.Context, all bool) ([]cleanroom.Party, error) {
	return queryAll(ctx, s.db, "listing parties", readParty, sqlPartyList, all)
}

const sqlRoomAdd = `
insert into cleanroom.room (room_id, purpose, mode, matching, minimum_epoch_seconds, minimum_members, opened_at)
values ($1, $2, $3, $4, $5, $6, clock_timestamp())
returning opened_at`

// A party that is removed at the same time is either no member, or waits.
const sqlRoomMemberAdd = `
insert into cleanroom.room_member (room_id, party_id, roles)
select $1, p.party_id, $3::text[]
from cleanroom.party p
where p.party_id = $2 and p.removed_at is null
for share of p`

const sqlRoomDatasetAdd = `
insert into cleanroom.room_dataset (room_id, owner, dataset)
values ($1, $2, $3)`

// OpenRoom implements [cleanroom.Registry].
func (s *RoomStore) OpenRoom(ctx context.Context, room *cleanroom.Room, event audit.Event) (audit.Receipt, error) {
	var opened time.Time
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlRoomAdd, string(room.ID), string(room.Purpose), string(room.Mode), string(room.Matching),
			int64(room.MinimumEpoch/time.Second), room.MinimumMembers).Scan(&opened); err != nil {
			return translate(err)
		}
		for _, m := range room.Members {
			tag, err := tx.Exec(ctx, sqlRoomMemberAdd, string(room.ID), string(m.Party), texts(m.Roles))
			if err == nil && tag.RowsAffected() == 0 {
				return fmt.Errorf("a member takes no part any more: %w", privacy.ErrConflict)
			}
			if err != nil {
				return translate(err)
			}
		}
		for _, d := range room.Datasets {
			if _, err := tx.Exec(ctx, sqlRoomDatasetAdd, string(room.ID), string(d.Owner), string(d.Dataset)); err != nil {
				return translate(err)
			}
		}
		return nil
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("opening room: %w", err)
	}
	room.OpenedAt = opened.UTC()
	return receipt, nil
}

const sqlRoomClose = `
update cleanroom.room
set closed_at = greatest(clock_timestamp(), opened_at)
where room_id = $1 and closed_at is null`

// CloseRoom implements [cleanroom.Registry].
func (s *RoomStore) CloseRoom(ctx context.Context, room cleanroom.RoomID, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "closing room", event, privacy.ErrConflict, sqlRoomClose, string(room))
}
