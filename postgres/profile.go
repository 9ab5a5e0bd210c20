package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// ProfileStore keeps the profiles by which audiences are found. Triggers of the database
// mark whoever changes.
type ProfileStore struct{ db *DB }

var (
	_ gate.ProfileStore = (*ProfileStore)(nil)
	_ gate.Crowds       = (*ProfileStore)(nil)
)

// NewProfileStore returns the store over db.
func NewProfileStore(db *DB) *ProfileStore { return &ProfileStore{db: db} }

// Each part goes along the index on shape and time, so that looking costs little when
// nobody is due.
const sqlProfileDue = `
select p.data_subject_id, p.changed, d.jurisdiction, k.wrapped, statement_timestamp()
from (
    (select data_subject_id, changed from gate.profile
        where shape = $1 and fresh_until <= statement_timestamp() order by shape, fresh_until limit $2)
    union all
    (select data_subject_id, changed from gate.profile where shape < $1 order by shape, fresh_until limit $2)
    union all
    (select data_subject_id, changed from gate.profile where shape > $1 order by shape, fresh_until limit $2)
) p
join vault.data_subject d on d.data_subject_id = p.data_subject_id
join keyring.person_key k on k.data_subject_id = p.data_subject_id
limit $2`

// DueProfiles implements [gate.ProfileStore].
func (s *ProfileStore) DueProfiles(ctx context.Context, shape gate.Tag, limit int) ([]gate.DueProfile, time.Time, error) {
	rows, err := s.db.pool.Query(ctx, sqlProfileDue, shape, limit)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("finding due profiles: %w", translate(err))
	}
	var at time.Time
	due, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (gate.DueProfile, error) {
		var d gate.DueProfile
		var id [16]byte
		err := row.Scan(&id, &d.Changed, &d.Jurisdiction, &d.WrappedKey, &at)
		d.DataSubject = id
		return d, err
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("finding due profiles: %w", translate(err))
	}
	return due, at, nil
}

// Counting stops at as many as are asked for, so what many share costs little.
const sqlProfileShared = `
select (
    select count(*) from (
        select 1 from gate.profile p
        where p.shape = $1 and p.fresh_until > statement_timestamp() and q.tag = any (p.tags)
        limit $3
    ) found
) >= $3
from unnest($2::uuid[]) with ordinality as q (tag, n)
order by q.n`

// Shared implements [gate.Crowds].
func (s *ProfileStore) Shared(ctx context.Context, shape gate.Tag, tags []gate.Tag, k int) ([]bool, error) {
	rows, err := s.db.pool.Query(ctx, sqlProfileShared, shape, tags, k)
	if err != nil {
		return nil, fmt.Errorf("counting profiles: %w", translate(err))
	}
	shared, err := pgx.CollectRows(rows, pgx.RowTo[bool])
	if err != nil {
		return nil, fmt.Errorf("counting profiles: %w", translate(err))
	}
	return shared, nil
}

const sqlProfileRecords = `
select q.n, r.slot, r.record_version, r.sealed
from unnest($1::uuid[], $2::bytea[], $3::integer[]) as q (id, slot, n) cross join lateral (
    select r.slot, r.record_version, r.sealed
    from vault.sealed_record r
    where r.data_subject_id = q.id and r.slot = q.slot
    offset 0
) r`

// ProfileRecords implements [gate.ProfileStore].
func (s *ProfileStore) ProfileRecords(ctx context.Context, wanted []gate.ProfileSlots) ([][]gate.SealedRecord, error) {
	var ids [][16]byte
	var slots [][]byte
	var numbers []int32
	for i := range wanted {
		for j := range wanted[i].Slots {
			ids, slots = append(ids, wanted[i].DataSubject), append(slots, wanted[i].Slots[j][:])
			numbers = append(numbers, int32(i))
		}
	}
	rows, err := s.db.pool.Query(ctx, sqlProfileRecords, ids, slots, numbers)
	if err != nil {
		return nil, fmt.Errorf("reading records for profiles: %w", translate(err))
	}
	records := make([][]gate.SealedRecord, len(wanted))
	var n int
	var slot []byte
	var record gate.SealedRecord
	_, err = pgx.ForEachRow(rows, []any{&n, &slot, &record.Version, &record.Sealed}, func() error {
		if len(slot) != len(record.Slot) || n < 0 || n >= len(records) {
			return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
		}
		record.Slot = [16]byte(slot)
		records[n] = append(records[n], record)
		record.Sealed = nil
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading records for profiles: %w", translate(err))
	}
	return records, nil
}

// Rows that somebody is changing are passed over, so that nobody waits for anybody here.
const sqlProfileSave = `
with free as (
    select p.data_subject_id
    from gate.profile p
    where p.data_subject_id = any ($2::uuid[])
    order by p.data_subject_id
    for update skip locked
)
update gate.profile p
set shape = $1, fresh_until = q.fresh_until, age = q.age, household = q.household,
    tags = string_to_array(q.tags, ',')::uuid[]
from unnest($2::uuid[], $3::bigint[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::text[])
    as q (id, changed, fresh_until, age, household, tags)
join free f on f.data_subject_id = q.id
where p.data_subject_id = q.id and p.changed = q.changed`

// SaveProfiles implements [gate.ProfileStore].
func (s *ProfileStore) SaveProfiles(ctx context.Context, shape gate.Tag, profiles []gate.Profile) (int, error) {
	n := len(profiles)
	ids, changed, until := make([][16]byte, n), make([]int64, n), make([]time.Time, n)
	ages, households, tags := make([][16]byte, n), make([][16]byte, n), make([]string, n)
	for i := range profiles {
		p := &profiles[i]
		ids[i], changed[i], until[i], ages[i], households[i] = p.DataSubject, p.Changed, p.FreshUntil, p.Age, p.Household
		text := make([]byte, 0, 37*len(p.Tags))
		for j, tag := range p.Tags {
			if j > 0 {
				text = append(text, ',')
			}
			text = append(text, uuidText(tag)...)
		}
		tags[i] = string(text)
	}
	result, err := s.db.pool.Exec(ctx, sqlProfileSave, shape, ids, changed, until, ages, households, tags)
	if err != nil {
		return 0, fmt.Errorf("saving profiles: %w", translate(err))
	}
	return int(result.RowsAffected()), nil
}

// uuidText is the text form of 16 bytes as a uuid.
func uuidText(b [16]byte) string {
	return hex.EncodeToString(b[:])
}
