package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// RoomPeople finds the house's own people in clean rooms.
type RoomPeople struct {
	// Seat returns where somebody sits in a snapshot: a keyed hash of both, so that nothing
	// in the database leads from a person to their facts. Nil: there is no key, and whoever
	// is in a room can neither withdraw nor be erased until the room's data is dropped.
	Seat func(snapshot cleanroom.SnapshotID, person privacy.DataSubjectID) ([16]byte, error)
	// Binds reports whether what somebody said about a purpose counts for a room of another
	// purpose too: an objection to all marketing does for every marketing purpose. Nil: it
	// never does.
	Binds func(said, room privacy.Purpose) bool
}

// FindInRooms says how people are found in clean rooms. It is for those who open the
// database, before they use it.
func (db *DB) FindInRooms(people RoomPeople) { db.rooms = people }

// inRoom is somebody in a snapshot that was drawn for a purpose.
type inRoom struct {
	person   privacy.DataSubjectID
	snapshot cleanroom.SnapshotID
	purpose  privacy.Purpose
}

const sqlRoomPresent = `
select data_subject_id, snapshot_id, purpose
from cleanroom.presence
where data_subject_id = any ($1::uuid[])
order by data_subject_id, snapshot_id`

// queueInRooms looks where people are. Whoever asks has them locked, so that nobody is put
// into a room meanwhile.
func queueInRooms(batch *pgx.Batch, people [][16]byte, found *[]inRoom) {
	var at inRoom
	batch.Queue(sqlRoomPresent, people).Query(each([]any{(*[16]byte)(&at.person), &at.snapshot, &at.purpose}, func() {
		*found = append(*found, at)
	}))
}

// The function waits for a match that is under way, and for whoever drops a snapshot.
const sqlRoomLeave = `
select cleanroom.leave($1, $2, $3)`

// leaveTx takes people out of rooms: their facts, their seats, and that they were there at
// all, in the transaction of what they leave for.
func (db *DB) leaveTx(ctx context.Context, tx pgx.Tx, from []inRoom) error {
	if len(from) == 0 {
		return nil
	}
	if db.rooms.Seat == nil {
		return fmt.Errorf("leaving a clean room without its key; drop its snapshots with: mahrem room drop: %w", privacy.ErrUnavailable)
	}
	batch := &pgx.Batch{}
	for len(from) > 0 {
		person := from[0].person
		var snapshots []int64
		var seats [][]byte
		for len(from) > 0 && from[0].person == person {
			seat, err := db.rooms.Seat(from[0].snapshot, person)
			if err != nil {
				return fmt.Errorf("leaving a clean room: %w", err)
			}
			snapshots, seats = append(snapshots, int64(from[0].snapshot)), append(seats, seat[:])
			from = from[1:]
		}
		batch.Queue(sqlRoomLeave, [16]byte(person), snapshots, seats)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("leaving a clean room: %w", translate(err))
	}
	return nil
}

// leaveAllTx takes somebody out of all rooms.
func (db *DB) leaveAllTx(ctx context.Context, tx pgx.Tx, person privacy.DataSubjectID) error {
	var found []inRoom
	batch := &pgx.Batch{}
	queueInRooms(batch, [][16]byte{person}, &found)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("looking into clean rooms: %w", translate(err))
	}
	return db.leaveTx(ctx, tx, found)
}

// nosOf returns the people who are no longer asked by what rows say: every action that is no
// yes may take somebody out of a room.
func nosOf(rows []*consentRow) [][16]byte {
	var people [][16]byte
	for _, row := range rows {
		if id := [16]byte(row.record.DataSubject); !row.record.Action.IsYes() && !slices.Contains(people, id) {
			people = append(people, id)
		}
	}
	return people
}

// leaving are those of found who said no to what their room is for.
func (db *DB) leaving(found []inRoom, rows []*consentRow) []inRoom {
	return slices.DeleteFunc(found, func(at inRoom) bool {
		return !slices.ContainsFunc(rows, func(row *consentRow) bool { return db.endsStay(&row.record, at) })
	})
}

// endsStay reports whether a record takes somebody out: any no about the room's purpose, or
// an objection that binds it. It is protective: a no on one channel is a no to the room, which
// has none.
func (db *DB) endsStay(r *consent.Record, at inRoom) bool {
	if r.DataSubject != at.person || r.Action.IsYes() {
		return false
	}
	return r.Purpose == at.purpose || r.Action == consent.Objected && db.rooms.Binds != nil && db.rooms.Binds(r.Purpose, at.purpose)
}
