package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/privacy"
)

// roomSelect reads a room r with its members and datasets as one row: what a question is
// judged by is as of one moment. Members whose party was removed are told apart.
const roomSelect = `
select r.room_id, r.purpose, r.mode, r.matching, r.minimum_epoch_seconds, r.minimum_members, r.epoch, r.matched_at, r.opened_at, r.closed_at,
    array(select m.party_id from cleanroom.room_member m where m.room_id = r.room_id order by m.party_id),
    array(select array_to_string(m.roles, ',') from cleanroom.room_member m where m.room_id = r.room_id order by m.party_id),
    array(select exists (select from cleanroom.party p where p.party_id = m.party_id and p.removed_at is null)
        from cleanroom.room_member m where m.room_id = r.room_id order by m.party_id),
    array(select d.owner || '.' || d.dataset from cleanroom.room_dataset d where d.room_id = r.room_id order by d.owner, d.dataset)
from cleanroom.room r`

const sqlRoomFind = roomSelect + `
where r.room_id = $1`

const sqlRoomList = roomSelect + `
where r.closed_at is null or $1
order by r.room_id`

func readRoom(row pgx.CollectableRow) (*cleanroom.Room, error) {
	var r cleanroom.Room
	var seconds int64
	var matched, closed *time.Time
	var parties, roles, datasets []string
	var present []bool
	if err := row.Scan(&r.ID, &r.Purpose, &r.Mode, &r.Matching, &seconds, &r.MinimumMembers, &r.Epoch, &matched, &r.OpenedAt, &closed,
		&parties, &roles, &present, &datasets); err != nil {
		return nil, err
	}
	r.MinimumEpoch, r.OpenedAt = time.Duration(seconds)*time.Second, r.OpenedAt.UTC()
	if matched != nil {
		r.MatchedAt = matched.UTC()
	}
	if closed != nil {
		r.ClosedAt = closed.UTC()
	}
	for i, party := range parties {
		member := cleanroom.Member{Party: cleanroom.PartyID(party)}
		for _, role := range strings.Split(roles[i], ",") {
			member.Roles = append(member.Roles, cleanroom.Role(role))
		}
		if present[i] {
			r.Members = append(r.Members, member)
		} else {
			r.Gone = append(r.Gone, member)
		}
	}
	for _, word := range datasets {
		ref, ok := parseDatasetWord(word)
		if !ok {
			return nil, fmt.Errorf("a dataset of a room has no name: %w", privacy.ErrDamaged)
		}
		r.Datasets = append(r.Datasets, ref)
	}
	return &r, nil
}

// RoomOf implements [cleanroom.Registry] and [cleanroom.Rooms]. Parties that were removed are
// no members.
func (s *RoomStore) RoomOf(ctx context.Context, room cleanroom.RoomID) (*cleanroom.Room, error) {
	return queryFirst(ctx, s.db, "finding room", readRoom, sqlRoomFind, string(room))
}

// Rooms implements [cleanroom.Registry].
func (s *RoomStore) Rooms(ctx context.Context, all bool) ([]*cleanroom.Room, error) {
	return queryAll(ctx, s.db, "listing rooms", readRoom, sqlRoomList, all)
}
