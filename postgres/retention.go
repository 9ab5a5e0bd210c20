package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// RetentionStore lets the periodic destruction look at people and delete what has had its
// period. mahrem_app may delete nothing: functions of the database's owner do.
type RetentionStore struct {
	db  *DB
	log transactor
}

var _ retention.Store = (*RetentionStore)(nil)

// NewRetentionStore works in db, with entries in log.
func NewRetentionStore(db *DB, log *AuditLog) *RetentionStore { return &RetentionStore{db, log} }

// Now is [retention.Store]'s.
func (s *RetentionStore) Now(ctx context.Context) (time.Time, error) {
	at, err := s.db.Clock(ctx)
	return at.UTC(), err
}

const sqlRetentionDue = `
select d.data_subject_id
from vault.data_subject d
left join dsar.retention_mark m on m.data_subject_id = d.data_subject_id
where d.data_subject_id > $1 and not d.erasing and (m.due_at is null or m.due_at <= $2)
order by d.data_subject_id
limit $3`

// Due is [retention.Store]'s.
func (s *RetentionStore) Due(ctx context.Context, after privacy.DataSubjectID, at time.Time, limit int) ([]privacy.DataSubjectID, error) {
	rows, err := s.db.pool.Query(ctx, sqlRetentionDue, [16]byte(after), at, limit)
	if err != nil {
		return nil, fmt.Errorf("finding people who are due: %w", translate(err))
	}
	return collectPeople(rows, "finding people who are due")
}

const sqlRetentionCountDue = `
select count(*)
from vault.data_subject d
left join dsar.retention_mark m on m.data_subject_id = d.data_subject_id
where not d.erasing and (m.due_at is null or m.due_at <= $1)`

// CountDue is [retention.Store]'s.
func (s *RetentionStore) CountDue(ctx context.Context, at time.Time) (n int64, err error) {
	if err := s.db.pool.QueryRow(ctx, sqlRetentionCountDue, at).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting people who are due: %w", translate(err))
	}
	return n, nil
}

// A person whose processing is restricted keeps everything, as under a hold: they may need
// it for a claim of their own (GDPR Article 18(1)(c)).
const sqlRetentionPeople = `
select d.data_subject_id, k.wrapped, d.created_at, array(
    select coalesce(h.scope, '00000000-0000-0000-0000-000000000000'::uuid) from dsar.holds_on(d.data_subject_id) h
    union
    select '00000000-0000-0000-0000-000000000000'::uuid where d.restricted
    order by 1)
from vault.data_subject d
join keyring.person_key k on k.data_subject_id = d.data_subject_id
where d.data_subject_id = any ($1::uuid[]) and not d.erasing
order by d.data_subject_id`

const sqlRetentionRecords = `
select data_subject_id, slot, record_version, sealed, updated_at
from vault.sealed_record
where data_subject_id = any ($1::uuid[])
order by data_subject_id, slot`

const sqlRetentionChunks = `
select data_subject_id, slot, chunk, record_version, sealed
from vault.event_chunk
where data_subject_id = any ($1::uuid[])
order by data_subject_id, slot, chunk`

const sqlRetentionChoices = `
select data_subject_id, purpose, channel, action = 'granted', effective_at
from consent.record
where data_subject_id = any ($1::uuid[])
order by data_subject_id, effective_at, recorded_at, consent_id`

// Read is [retention.Store]'s.
func (s *RetentionStore) Read(ctx context.Context, people []privacy.DataSubjectID) ([]retention.Held, error) {
	var list []retention.Held
	index := map[privacy.DataSubjectID]int{}
	ids := uuids(people)
	batch := &pgx.Batch{}
	var id [16]byte
	batch.Queue(sqlRetentionPeople, ids).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var h retention.Held
			if err := rows.Scan((*[16]byte)(&h.ID), &h.Wrapped, &h.KnownSince, &h.Holds); err != nil {
				return err
			}
			h.KnownSince = h.KnownSince.UTC()
			index[h.ID] = len(list)
			list = append(list, h)
		}
		return rows.Err()
	})
	of := func() *retention.Held {
		if i, ok := index[id]; ok {
			return &list[i]
		}
		return nil
	}
	var slot, sealed []byte
	var r retention.SealedRecord
	batch.Queue(sqlRetentionRecords, ids).Query(each([]any{&id, &slot, &r.Version, &sealed, &r.UpdatedAt}, func() {
		if h := of(); h != nil {
			h.Records = append(h.Records, retention.SealedRecord{Slot: [16]byte(slot), Version: r.Version, Sealed: sealed, UpdatedAt: r.UpdatedAt.UTC()})
		}
		sealed = nil
	}))
	var c retention.SealedChunk
	batch.Queue(sqlRetentionChunks, ids).Query(each([]any{&id, &slot, &c.Number, &c.Version, &sealed}, func() {
		if h := of(); h != nil {
			h.Chunks = append(h.Chunks, retention.SealedChunk{Slot: [16]byte(slot), Number: c.Number, Version: c.Version, Sealed: sealed})
		}
		sealed = nil
	}))
	var choice retention.Choice
	batch.Queue(sqlRetentionChoices, ids).Query(each([]any{&id, &choice.Purpose, &choice.Channel, &choice.Granted, &choice.At}, func() {
		if h := of(); h != nil {
			h.Choices = append(h.Choices, choice)
		}
	}))
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading what is held: %w", translate(err))
	}
	return list, nil
}

const sqlRetentionLock = `
select data_subject_id
from vault.data_subject
where data_subject_id = any ($1::uuid[]) and not erasing
order by data_subject_id
for no key update`

const sqlRetentionReplaceRecords = `
update vault.sealed_record r
set record_version = r.record_version + 1, sealed = q.sealed
from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bytea[]) as q (data_subject_id, slot, record_version, sealed)
where r.data_subject_id = q.data_subject_id and r.slot = q.slot and r.record_version = q.record_version`

const sqlRetentionReplaceChunks = `
update vault.event_chunk c
set record_version = c.record_version + 1, event_count = q.event_count, sealed = q.sealed
from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::bigint[], $5::integer[], $6::bytea[])
    as q (data_subject_id, slot, chunk, record_version, event_count, sealed)
where c.data_subject_id = q.data_subject_id and c.slot = q.slot and c.chunk = q.chunk and c.record_version = q.record_version`

const sqlRetentionDrop = `
select records, chunks
from vault.drop_expired($1, $2, $3, $4, $5, $6, $7)`

// Apply is [retention.Store]'s.
func (s *RetentionStore) Apply(ctx context.Context, b retention.Batch, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlRetentionLock, uuids(b.People))
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() != int64(len(b.People)) {
			return fmt.Errorf("somebody is gone: %w", privacy.ErrConflict)
		}
		// With the rows locked no hold can come any more; those that there are must be the
		// ones that the changes were made under.
		rows, err := tx.Query(ctx, sqlRetentionPeople, uuids(b.People))
		if err != nil {
			return translate(err)
		}
		var now retention.Held
		at := 0
		_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&now.ID), &now.Wrapped, &now.KnownSince, &now.Holds}, func() error {
			if at >= len(b.People) || now.ID != b.People[at] || !slices.Equal(now.Holds, b.Holds[at]) {
				return fmt.Errorf("legal holds have changed: %w", privacy.ErrConflict)
			}
			at++
			return nil
		})
		if err == nil && at != len(b.People) {
			err = fmt.Errorf("somebody has no key any more: %w", privacy.ErrConflict)
		}
		if err != nil {
			return translate(err)
		}
		if err := applyChanges(ctx, tx, &b); err != nil {
			return err
		}
		return lookedAt(ctx, tx, &b)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("deleting what has had its period: %w", err)
	}
	return receipt, nil
}

// changeColumns are the arrays of changes.
type changeColumns struct {
	ids      [][16]byte
	slots    [][]byte
	numbers  []int64
	versions []int64
	counts   []int32
	sealed   [][]byte
}

func (c *changeColumns) add(change *retention.RecordChange) {
	c.ids, c.slots = append(c.ids, change.ID), append(c.slots, change.Slot[:])
	c.versions, c.sealed = append(c.versions, change.Version), append(c.sealed, change.Sealed)
}

func applyChanges(ctx context.Context, tx pgx.Tx, b *retention.Batch) error {
	var records, oldRecords, chunks, oldChunks changeColumns
	for i := range b.Records {
		to := &records
		if b.Records[i].Sealed == nil {
			to = &oldRecords
		}
		to.add(&b.Records[i])
	}
	for i := range b.Chunks {
		to := &chunks
		if b.Chunks[i].Sealed == nil {
			to = &oldChunks
		}
		to.add(&b.Chunks[i].RecordChange)
		to.numbers, to.counts = append(to.numbers, b.Chunks[i].Number), append(to.counts, int32(b.Chunks[i].Count))
	}
	changed := fmt.Errorf("something has changed meanwhile: %w", privacy.ErrConflict)
	if len(records.ids) > 0 {
		tag, err := tx.Exec(ctx, sqlRetentionReplaceRecords, records.ids, records.slots, records.versions, records.sealed)
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() != int64(len(records.ids)) {
			return changed
		}
	}
	if len(chunks.ids) > 0 {
		tag, err := tx.Exec(ctx, sqlRetentionReplaceChunks, chunks.ids, chunks.slots, chunks.numbers, chunks.versions, chunks.counts, chunks.sealed)
		if err != nil {
			return translate(err)
		}
		if tag.RowsAffected() != int64(len(chunks.ids)) {
			return changed
		}
	}
	if len(oldRecords.ids)+len(oldChunks.ids) == 0 {
		return nil
	}
	var nRecords, nChunks int64
	err := tx.QueryRow(ctx, sqlRetentionDrop, notNull(oldRecords.ids), notNull(oldRecords.slots), notNull(oldRecords.versions),
		notNull(oldChunks.ids), notNull(oldChunks.slots), notNull(oldChunks.numbers), notNull(oldChunks.versions)).Scan(&nRecords, &nChunks)
	if err != nil {
		return translate(err)
	}
	if nRecords != int64(len(oldRecords.ids)) || nChunks != int64(len(oldChunks.ids)) {
		return changed
	}
	return nil
}

// notNull is an array without elements, where nil would be null.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

const sqlRetentionMark = `
insert into dsar.retention_mark (data_subject_id, due_at)
select q.data_subject_id, q.due_at
from unnest($1::uuid[], $2::timestamptz[]) as q (data_subject_id, due_at)
join vault.data_subject d on d.data_subject_id = q.data_subject_id
where not d.erasing
order by q.data_subject_id
for key share of d
on conflict (data_subject_id) do update
set due_at = excluded.due_at`

const sqlRetentionCount = `
insert into dsar.retention_count as c (run_id, what, category, destroyed, held)
select $1, q.what, q.category, q.destroyed, q.held
from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) as q (what, category, destroyed, held)
on conflict (run_id, what, category) do update
set destroyed = c.destroyed + excluded.destroyed, held = c.held + excluded.held`

const sqlRetentionSeen = `
update dsar.retention_run
set people = people + $2
where run_id = $1`

// lookedAt records when people are due again, and adds to the counts of the run.
func lookedAt(ctx context.Context, tx pgx.Tx, b *retention.Batch) error {
	ids, due := make([][16]byte, len(b.Marks)), make([]time.Time, len(b.Marks))
	for i, m := range b.Marks {
		ids[i], due[i] = m.ID, m.Due
	}
	if _, err := tx.Exec(ctx, sqlRetentionMark, ids, due); err != nil {
		return translate(err)
	}
	if err := addCounts(ctx, tx, b.Run, b.Counts); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, sqlRetentionSeen, [16]byte(b.Run), int64(len(b.Marks)))
	return translate(err)
}

func addCounts(ctx context.Context, tx pgx.Tx, run retention.RunID, counts []retention.Count) error {
	if len(counts) == 0 {
		return nil
	}
	whats, categories := make([]string, len(counts)), make([]string, len(counts))
	destroyed, held := make([]int64, len(counts)), make([]int64, len(counts))
	for i, c := range counts {
		whats[i], categories[i], destroyed[i], held[i] = c.What, string(c.Category), c.Destroyed, c.Held
	}
	_, err := tx.Exec(ctx, sqlRetentionCount, [16]byte(run), whats, categories, destroyed, held)
	return translate(err)
}

// Look is [retention.Store]'s.
func (s *RetentionStore) Look(ctx context.Context, b retention.Batch) error {
	if err := s.db.inTx(ctx, func(tx pgx.Tx) error { return lookedAt(ctx, tx, &b) }); err != nil {
		return fmt.Errorf("recording that people were looked at: %w", err)
	}
	return nil
}

const sqlRetentionDropOld = `
select destroyed, held
from dsar.drop_old_rows($1, $2, $3)`

// DropOld is [retention.Store]'s.
func (s *RetentionStore) DropOld(ctx context.Context, run retention.RunID, kind policies.RecordKind, before time.Time, limit int, event audit.Event,
) (destroyed, held int64, err error) {
	_, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlRetentionDropOld, string(kind), before, limit).Scan(&destroyed, &held); err != nil {
			return translate(err)
		}
		if destroyed == 0 {
			return retention.ErrNothing
		}
		return addCounts(ctx, tx, run, []retention.Count{{What: string(kind), Destroyed: destroyed}})
	})
	if err != nil && held > 0 {
		counted := s.db.inTx(ctx, func(tx pgx.Tx) error {
			return addCounts(ctx, tx, run, []retention.Count{{What: string(kind), Held: held}})
		})
		if counted != nil {
			return 0, 0, fmt.Errorf("counting rows under a hold: %w", counted)
		}
	}
	if err != nil {
		return 0, held, fmt.Errorf("deleting old rows: %w", err)
	}
	return destroyed, held, nil
}
