package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/cleanroom"
	"github.com/mahrem/mahrem/cleanroom/draw"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
	"github.com/mahrem/mahrem/vault"
)

// DrawStore reads the house's own people and puts them into clean rooms.
type DrawStore struct {
	db    *DB
	vault *vault.Vault
}

var _ draw.Store = (*DrawStore)(nil)

// NewDrawStore returns the store over db; slots are found with v.
func NewDrawStore(db *DB, v *vault.Vault) *DrawStore { return &DrawStore{db, v} }

const sqlDrawCandidates = `
select distinct r.data_subject_id
from consent.record r
where r.purpose = $1 and r.action in ('granted', 'renewed', 'guardian_granted')`

// Candidates implements [draw.Store].
func (s *DrawStore) Candidates(ctx context.Context, purpose privacy.Purpose) ([]privacy.DataSubjectID, error) {
	var found []privacy.DataSubjectID
	err := s.db.inTx(ctx, func(tx pgx.Tx) error {
		// Everybody is looked at: not row by row along an index of another purpose.
		if _, err := tx.Exec(ctx, sqlDrawBegin); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, sqlDrawCandidates, string(purpose))
		if err != nil {
			return err
		}
		var id [16]byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			found = append(found, id)
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("finding who may be drawn: %w", err)
	}
	return found, nil
}

const sqlDrawBegin = `
select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true)`

// The lock is the one that whoever records a choice, restricts or erases waits for. It is a
// statement of its own, so that those after it see what was committed until it was given.
const sqlDrawLock = `
select data_subject_id, jurisdiction, clock_timestamp()
from vault.data_subject
where data_subject_id = any ($1::uuid[]) and not erasing and not restricted
order by data_subject_id
for share`

const sqlDrawKeys = `
select data_subject_id, wrapped
from keyring.person_key
where data_subject_id = any ($1::uuid[])`

const sqlDrawConsents = `
select r.data_subject_id, r.consent_id, r.purpose, r.channel, r.action, r.legal_basis, r.explicit, r.categories,
    r.actor, r.guardian_verified, r.effective_at, r.recorded_at, r.valid_until, s.stale_at
from consent.record r ` + staleNotice + `
where r.data_subject_id = any ($1::uuid[]) and r.purpose = any ($2::text[])`

const sqlDrawRecords = `
select q.n, q.place, r.record_version, r.sealed
from unnest($1::uuid[], $2::bytea[], $3::integer[], $4::integer[]) as q (id, slot, n, place) cross join lateral (
    select r.record_version, r.sealed
    from vault.sealed_record r
    where r.data_subject_id = q.id and r.slot = q.slot
    offset 0
) r`

const sqlDrawChunks = `
select q.n, c.chunk, c.record_version, c.sealed
from unnest($1::uuid[], $2::bytea[], $3::integer[]) as q (id, slot, n) cross join lateral (
    select c.chunk, c.record_version, c.sealed
    from vault.event_chunk c
    where c.data_subject_id = q.id and c.slot = q.slot
    order by c.chunk
    offset 0
) c`

// Put implements [draw.Store].
func (s *DrawStore) Put(ctx context.Context, stay draw.Stay, wanted draw.Wanted, people []privacy.DataSubjectID, admit func(at time.Time, held []draw.Held) ([]draw.Member, error)) error {
	err := s.db.inTx(ctx, func(tx pgx.Tx) error {
		held, at, err := s.hold(ctx, tx, wanted, people)
		if err != nil || len(held) == 0 {
			return err
		}
		members, err := admit(at, held)
		if err != nil || len(members) == 0 {
			return err
		}
		return putTx(ctx, tx, stay, members)
	})
	if err != nil {
		return fmt.Errorf("putting people into a room: %w", err)
	}
	return nil
}

// hold locks people and reads what is held of them.
func (s *DrawStore) hold(ctx context.Context, tx pgx.Tx, wanted draw.Wanted, people []privacy.DataSubjectID) (held []draw.Held, at time.Time, err error) {
	sorted := slices.Clone(people)
	slices.SortFunc(sorted, func(a, b privacy.DataSubjectID) int { return bytes.Compare(a[:], b[:]) })
	rows, err := tx.Query(ctx, sqlDrawLock, uuids(sorted))
	if err != nil {
		return nil, at, err
	}
	place := map[[16]byte]int{}
	var ids [][16]byte
	var id [16]byte
	var law privacy.Jurisdiction
	if _, err := pgx.ForEachRow(rows, []any{&id, &law, &at}, func() error {
		place[id] = len(held)
		ids = append(ids, id)
		held = append(held, draw.Held{DataSubject: id, Standing: draw.Standing{Jurisdiction: law}})
		return nil
	}); err != nil || len(held) == 0 {
		return nil, at, err
	}
	batch := &pgx.Batch{}
	var wrapped []byte
	batch.Queue(sqlDrawKeys, ids).Query(each([]any{&id, &wrapped}, func() {
		held[place[id]].WrappedKey = bytes.Clone(wrapped)
	}))
	purposes := make([]string, len(wanted.Purposes))
	for i, purpose := range wanted.Purposes {
		purposes[i] = string(purpose)
	}
	var now time.Time
	batch.Queue(sqlConsentClock).QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
	batch.Queue(sqlDrawConsents, ids, purposes).Query(func(rows pgx.Rows) error { return drawConsents(rows, held, place) })
	s.queueSealed(batch, wanted, ids, held)
	err = tx.SendBatch(ctx, batch).Close()
	return held, now, err
}

// drawConsents reads what decides about a consent, and nothing else.
func drawConsents(rows pgx.Rows, held []draw.Held, place map[[16]byte]int) error {
	for rows.Next() {
		var r consent.Record
		var categories []string
		var until, stale *time.Time
		if err := rows.Scan((*[16]byte)(&r.DataSubject), &r.ID, &r.Purpose, &r.Channel, &r.Action, &r.Basis, &r.Explicit, &categories,
			&r.Actor, &r.GuardianVerified, &r.EffectiveAt, &r.RecordedAt, &until, &stale); err != nil {
			return err
		}
		for _, c := range categories {
			r.Categories = append(r.Categories, privacy.DataCategory(c))
		}
		if until != nil {
			r.ValidUntil = *until
		}
		if stale != nil {
			r.StaleAt = *stale
		}
		h := &held[place[r.DataSubject]]
		h.Standing.Consents = append(h.Standing.Consents, r)
	}
	return rows.Err()
}

// queueSealed reads the sealed records and events that are wanted of people.
func (s *DrawStore) queueSealed(batch *pgx.Batch, wanted draw.Wanted, ids [][16]byte, held []draw.Held) {
	var of [][16]byte
	var slots, streams [][]byte
	var numbers, places, all []int32
	for i, id := range ids {
		for j, category := range wanted.Categories {
			slot := s.vault.Slot(id, category)
			of, slots = append(of, id), append(slots, slot[:])
			numbers, places = append(numbers, int32(i)), append(places, int32(j))
		}
		if wanted.Stream != "" {
			slot := s.vault.Slot(id, wanted.Stream)
			streams, all = append(streams, slot[:]), append(all, int32(i))
		}
	}
	var n, at int
	var version, chunk int64
	var sealed []byte
	batch.Queue(sqlDrawRecords, of, slots, numbers, places).Query(each([]any{&n, &at, &version, &sealed}, func() {
		held[n].Records = append(held[n].Records, draw.SealedRecord{Category: wanted.Categories[at], Version: version, Sealed: bytes.Clone(sealed)})
	}))
	if wanted.Stream == "" {
		return
	}
	batch.Queue(sqlDrawChunks, ids, streams, all).Query(each([]any{&n, &chunk, &version, &sealed}, func() {
		held[n].Chunks = append(held[n].Chunks, draw.SealedChunk{Number: chunk, Version: version, Sealed: bytes.Clone(sealed)})
	}))
}

const sqlDrawPresence = `
insert into cleanroom.presence (data_subject_id, snapshot_id, purpose)
select q.id, $2, $3
from unnest($1::uuid[]) as q (id)`

const sqlDrawStay = `
insert into cleanroom.stay (data_subject_id, room_id, owner, dataset, purpose, first_at, last_at)
select q.id, $2, $3, $4, $5, now.at, now.at
from unnest($1::uuid[]) as q (id), (select clock_timestamp() as at offset 0) now
on conflict (data_subject_id, room_id, owner, dataset) do update set purpose = excluded.purpose, last_at = excluded.last_at`

// putTx stores who was drawn: that they are there in the order of their ids, and their rows
// in the order in which they come, which is none.
func putTx(ctx context.Context, tx pgx.Tx, stay draw.Stay, members []draw.Member) error {
	ids := make([][16]byte, len(members))
	for i := range members {
		ids[i] = members[i].DataSubject
	}
	slices.SortFunc(ids, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	batch := &pgx.Batch{}
	batch.Queue(sqlDrawPresence, ids, int64(stay.Snapshot), string(stay.Purpose))
	batch.Queue(sqlDrawStay, ids, string(stay.Room), string(stay.Dataset.Owner), string(stay.Dataset.Dataset), string(stay.Purpose))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	_, err := tx.CopyFrom(ctx, pgx.Identifier{"cleanroom", "staged_member"}, []string{"snapshot_id", "ordinal", "token", "seat"},
		pgx.CopyFromSlice(len(members), func(i int) ([]any, error) {
			m := &members[i].Staged
			return []any{int64(stay.Snapshot), m.Ordinal, m.Token, m.Seat}, nil
		}))
	if err != nil {
		return err
	}
	columns := []string{"snapshot_id", "ordinal"}
	for _, slot := range []struct {
		prefix string
		count  int
	}{{"d", stay.Dimensions}, {"m", stay.Measures}} {
		for i := range slot.count {
			columns = append(columns, fmt.Sprintf("%s%d", slot.prefix, i+1))
		}
	}
	next := drawnRows{stay: &stay, members: members}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"cleanroom", "staged_row"}, columns, pgx.CopyFromFunc(next.next))
	return err
}

// drawnRows goes through the rows of members.
type drawnRows struct {
	stay    *draw.Stay
	members []draw.Member
	row     int
}

func (d *drawnRows) next() ([]any, error) {
	for len(d.members) > 0 && d.row == len(d.members[0].Rows) {
		d.members, d.row = d.members[1:], 0
	}
	if len(d.members) == 0 {
		return nil, nil
	}
	m := &d.members[0]
	r := &m.Rows[d.row]
	d.row++
	values := []any{int64(d.stay.Snapshot), m.Staged.Ordinal}
	for _, v := range r.Dimensions[:d.stay.Dimensions] {
		values = append(values, v)
	}
	for _, v := range r.Measures[:d.stay.Measures] {
		values = append(values, v)
	}
	return values, nil
}

const sqlDrawPresent = `
select data_subject_id
from cleanroom.presence
where snapshot_id = $1`

// Present returns who of the house's people is in a snapshot.
func (s *DrawStore) Present(ctx context.Context, snapshot cleanroom.SnapshotID) ([]privacy.DataSubjectID, error) {
	rows, err := s.db.pool.Query(ctx, sqlDrawPresent, int64(snapshot))
	if err != nil {
		return nil, fmt.Errorf("finding who is in a room: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id privacy.DataSubjectID, err error) {
		err = row.Scan((*[16]byte)(&id))
		return id, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding who is in a room: %w", translate(err))
	}
	return found, nil
}

// Look implements [draw.Store].
func (s *DrawStore) Look(ctx context.Context, wanted draw.Wanted, people []privacy.DataSubjectID) (held []draw.Held, at time.Time, err error) {
	err = s.db.inTx(ctx, func(tx pgx.Tx) (err error) {
		held, at, err = s.hold(ctx, tx, wanted, people)
		return err
	})
	if err != nil {
		return nil, at, fmt.Errorf("looking at people: %w", err)
	}
	return held, at, nil
}
