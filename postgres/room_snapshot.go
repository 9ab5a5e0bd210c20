package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
)

var _ cleanroom.Rooms = (*RoomStore)(nil)

const sqlRoomSnapshots = `
select s.snapshot_id, c.owner, c.dataset, c.version, c.note, c.verifier, c.digest, c.raised_because, c.added_at
from cleanroom.room r
join cleanroom.snapshot s on s.room_id = r.room_id and s.epoch = r.epoch and s.state = 'matched'
join cleanroom.contract c on c.owner = s.owner and c.dataset = s.dataset and c.version = s.contract_version
where r.room_id = $1 and r.closed_at is null
order by c.owner, c.dataset`

// SnapshotsOf implements [cleanroom.Rooms]. A closed room has none.
func (s *RoomStore) SnapshotsOf(ctx context.Context, room cleanroom.RoomID) ([]cleanroom.MatchedSnapshot, error) {
	return queryAll(ctx, s.db, "finding snapshots of a room", func(row pgx.CollectableRow) (cleanroom.MatchedSnapshot, error) {
		var found cleanroom.MatchedSnapshot
		var contract contractRow
		err := row.Scan(&found.ID, &contract.owner, &contract.dataset, &contract.version, &contract.note, &contract.verifier,
			&contract.digest, &contract.raised, &contract.added)
		if err != nil {
			return found, err
		}
		filed, err := contract.open()
		if err != nil {
			return found, err
		}
		found.Prepared, found.Dataset = &filed.SignedContract, filed.Ref()
		return found, nil
	}, sqlRoomSnapshots, string(room))
}
