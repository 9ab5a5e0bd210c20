package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar/export"
	"github.com/mahrem/mahrem/privacy"
)

// The room's parties are listed as they are now: nobody leaves a room but by its end. A stay is
// noted when somebody is put into a draw, and stays noted if nothing comes of the draw: such a
// room has never contained them. In pair mode it is listed all the same, for then the other
// party may have had their masked token.
const sqlRoomStays = `
select s.room_id, s.owner, s.dataset, s.purpose, s.first_at, s.last_at,
    array(select m.party_id from cleanroom.room_member m where m.room_id = s.room_id order by m.party_id),
    array(
        select n.snapshot_id
        from cleanroom.presence p
        join cleanroom.snapshot n on n.snapshot_id = p.snapshot_id
        where p.data_subject_id = s.data_subject_id and n.room_id = s.room_id and n.owner = s.owner and n.dataset = s.dataset
        order by n.snapshot_id
    )
from cleanroom.stay s
join cleanroom.room r on r.room_id = s.room_id
where s.data_subject_id = $1 and (
    r.matching = 'pair'
    or exists (
        select
        from cleanroom.snapshot n
        where n.room_id = s.room_id and n.owner = s.owner and n.dataset = s.dataset
            and n.begun_at <= s.last_at and n.admitted_at >= s.first_at
    )
    or exists (
        select
        from cleanroom.presence p
        join cleanroom.snapshot n on n.snapshot_id = p.snapshot_id
        where p.data_subject_id = s.data_subject_id and n.room_id = s.room_id and n.owner = s.owner and n.dataset = s.dataset
    )
)
order by s.room_id, s.owner, s.dataset`

// Stays returns the clean rooms that somebody was drawn into, in a fixed order. It is about one
// person: whoever shows it says so in the log before.
func (s *RoomStore) Stays(ctx context.Context, person privacy.DataSubjectID) ([]export.Stay, error) {
	return staysOf(ctx, s.db.pool, person)
}

func staysOf(ctx context.Context, from querier, person privacy.DataSubjectID) ([]export.Stay, error) {
	rows, err := from.Query(ctx, sqlRoomStays, [16]byte(person))
	if err != nil {
		return nil, fmt.Errorf("reading clean rooms: %w", translate(err))
	}
	stays, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s export.Stay, err error) {
		err = row.Scan(&s.Room, &s.Dataset.Owner, &s.Dataset.Dataset, &s.Purpose, &s.First, &s.Last, &s.Members, &s.Snapshots)
		if s.Present = len(s.Snapshots) > 0; !s.Present {
			s.Snapshots = nil
		}
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading clean rooms: %w", translate(err))
	}
	return stays, nil
}
