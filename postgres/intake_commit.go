package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// Commit implements [intake.Store]: all statements in one round trip, in a fixed order
// and sorted by person, the existing people locked first. So two loaders queue up rather
// than deadlock, and an erasure comes wholly before a batch or wholly after it.
func (s *IntakeStore) Commit(ctx context.Context, c intake.Changes, event audit.Event) (audit.Receipt, error) {
	receipts, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		batch := &pgx.Batch{}
		queuePeople(batch, &c)
		queueIdentifiers(batch, c.Identifiers)
		queueRecords(batch, c.Records)
		queueChunks(batch, c.Chunks)
		queueFingerprints(batch, c.Fingerprints)
		queueProgress(batch, c.Progress)
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return nil, translate(err)
		}
		events := []audit.Event{event}
		if len(c.Consents) == 0 {
			return events, nil
		}
		rows := make([]*consentRow, len(c.Consents))
		for i := range c.Consents {
			rows[i] = &consentRow{record: c.Consents[i]}
		}
		imported, _, err := addConsentBatch(ctx, tx, s.db, rows, audit.Event{Principal: event.Principal})
		return append(events, imported...), err
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("committing batch: %w", err)
	}
	return receipts[0], nil
}

const sqlIntakeLockPeople = `
select data_subject_id
from vault.data_subject
where data_subject_id = any ($1::uuid[]) and not erasing
order by data_subject_id
for no key update`

const sqlIntakeAddPeople = `
insert into vault.data_subject (data_subject_id, jurisdiction)
select q.data_subject_id, q.jurisdiction
from unnest($1::uuid[], $2::text[]) as q (data_subject_id, jurisdiction)`

const sqlIntakeAddKeys = `
insert into keyring.person_key (data_subject_id, wrapped)
select q.data_subject_id, q.wrapped
from unnest($1::uuid[], $2::bytea[]) as q (data_subject_id, wrapped)`

func queuePeople(batch *pgx.Batch, c *intake.Changes) {
	if n := len(c.Touched); n > 0 {
		batch.Queue(sqlIntakeLockPeople, uuids(c.Touched)).Exec(exactly(n))
	}
	n := len(c.People)
	if n == 0 {
		return
	}
	ids, jurisdictions, keys := make([][16]byte, n), make([]string, n), make([][]byte, n)
	for i, p := range c.People {
		ids[i], jurisdictions[i], keys[i] = p.ID, string(p.Jurisdiction), p.Wrapped
	}
	batch.Queue(sqlIntakeAddPeople, ids, jurisdictions)
	batch.Queue(sqlIntakeAddKeys, ids, keys)
}

const sqlIntakeAddIdentifiers = `
insert into vault.identifier (data_subject_id, kind, blind_index)
select q.data_subject_id, q.kind, q.blind_index
from unnest($1::uuid[], $2::text[], $3::bytea[]) as q (data_subject_id, kind, blind_index)`

// The statement comes after the one above, and so sees what was suppressed by an erasure
// that the insert waited for.
const sqlIntakeNotSuppressed = `
select 1
from unnest($1::bytea[]) as q (tag)
where exists (select from dsar.suppression s where s.tag = q.tag and s.lifted_at is null)
limit 1`

func queueIdentifiers(batch *pgx.Batch, identifiers []intake.NewIdentifier) {
	n := len(identifiers)
	if n == 0 {
		return
	}
	ids, kinds, indexes := make([][16]byte, n), make([]string, n), make([][]byte, n)
	var tags [][]byte
	for i := range identifiers {
		identifier := &identifiers[i]
		ids[i], kinds[i], indexes[i] = identifier.ID, string(identifier.Kind), identifier.BlindIndex
		for j := range identifier.Suppressions {
			tags = append(tags, identifier.Suppressions[j][:])
		}
	}
	batch.Queue(sqlIntakeAddIdentifiers, ids, kinds, indexes)
	batch.Queue(sqlIntakeNotSuppressed, tags).Exec(exactly(0))
}

const sqlIntakeAddRecords = `
insert into vault.sealed_record (data_subject_id, slot, record_version, sealed)
select q.data_subject_id, q.slot, 1, q.sealed
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as q (data_subject_id, slot, sealed)`

const sqlIntakeReplaceRecords = `
update vault.sealed_record r
set record_version = q.record_version, sealed = q.sealed, updated_at = now()
from unnest($1::uuid[], $2::bytea[], $3::bytea[], $4::bigint[]) as q (data_subject_id, slot, sealed, record_version)
where r.data_subject_id = q.data_subject_id and r.slot = q.slot and r.record_version = q.record_version - 1`

func queueRecords(batch *pgx.Batch, records []intake.RecordChange) {
	var ids, oldIDs [][16]byte
	var slots, oldSlots, sealed, oldSealed [][]byte
	var versions []int64
	for _, r := range records {
		if r.Version == 1 {
			ids, slots, sealed = append(ids, r.ID), append(slots, r.Slot[:]), append(sealed, r.Sealed)
			continue
		}
		oldIDs, oldSlots, oldSealed = append(oldIDs, r.ID), append(oldSlots, r.Slot[:]), append(oldSealed, r.Sealed)
		versions = append(versions, r.Version)
	}
	if len(ids) > 0 {
		batch.Queue(sqlIntakeAddRecords, ids, slots, sealed)
	}
	if n := len(oldIDs); n > 0 {
		batch.Queue(sqlIntakeReplaceRecords, oldIDs, oldSlots, oldSealed, versions).Exec(exactly(n))
	}
}

const sqlIntakeAddChunks = `
insert into vault.event_chunk (data_subject_id, slot, chunk, record_version, event_count, sealed)
select q.data_subject_id, q.slot, q.chunk, 1, q.event_count, q.sealed
from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::integer[], $5::bytea[])
    as q (data_subject_id, slot, chunk, event_count, sealed)`

const sqlIntakeReplaceChunks = `
update vault.event_chunk c
set record_version = q.record_version, event_count = q.event_count, sealed = q.sealed
from unnest($1::uuid[], $2::bytea[], $3::bigint[], $4::integer[], $5::bytea[], $6::bigint[])
    as q (data_subject_id, slot, chunk, event_count, sealed, record_version)
where c.data_subject_id = q.data_subject_id and c.slot = q.slot and c.chunk = q.chunk
    and c.record_version = q.record_version - 1`

// chunkColumns are the arrays of chunks.
type chunkColumns struct {
	ids      [][16]byte
	slots    [][]byte
	chunks   []int64
	counts   []int32
	sealed   [][]byte
	versions []int64
}

func queueChunks(batch *pgx.Batch, chunks []intake.ChunkChange) {
	var added, replaced chunkColumns
	for i := range chunks {
		c, to := &chunks[i], &added
		if c.Version > 1 {
			to = &replaced
		}
		to.ids = append(to.ids, c.ID)
		to.slots = append(to.slots, c.Slot[:])
		to.chunks = append(to.chunks, c.Chunk)
		to.counts = append(to.counts, int32(c.Count))
		to.sealed = append(to.sealed, c.Sealed)
		to.versions = append(to.versions, c.Version)
	}
	if c := &added; len(c.ids) > 0 {
		batch.Queue(sqlIntakeAddChunks, c.ids, c.slots, c.chunks, c.counts, c.sealed)
	}
	if c := &replaced; len(c.ids) > 0 {
		batch.Queue(sqlIntakeReplaceChunks, c.ids, c.slots, c.chunks, c.counts, c.sealed, c.versions).Exec(exactly(len(c.ids)))
	}
}

const sqlIntakeAddFingerprints = `
insert into vault.event_fingerprint (data_subject_id, fingerprint)
select q.data_subject_id, q.fingerprint
from unnest($1::uuid[], $2::bytea[]) as q (data_subject_id, fingerprint)`

func queueFingerprints(batch *pgx.Batch, fingerprints []intake.NewFingerprint) {
	if len(fingerprints) == 0 {
		return
	}
	var c columns
	for i := range fingerprints {
		c.add(i, fingerprints[i].ID, fingerprints[i].Fingerprint[:])
	}
	batch.Queue(sqlIntakeAddFingerprints, c.ids, c.values)
}

const sqlIntakeSetProgress = `
insert into intake.load_progress as p (
    file_digest, mapping_digest, source, last_row, row_count, accepted_count, rejected_count,
    person_count, new_person_count, event_count, new_event_count, done
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
on conflict (file_digest, mapping_digest) do update
set last_row = excluded.last_row, row_count = excluded.row_count, accepted_count = excluded.accepted_count,
    rejected_count = excluded.rejected_count, person_count = excluded.person_count,
    new_person_count = excluded.new_person_count, event_count = excluded.event_count,
    new_event_count = excluded.new_event_count, done = excluded.done, updated_at = now()
where p.row_count <= excluded.row_count`

// queueProgress never moves a file back: of two loads of one file at the same time, the
// one behind has nothing to add.
func queueProgress(batch *pgx.Batch, p *intake.Progress) {
	if p == nil {
		return
	}
	batch.Queue(sqlIntakeSetProgress, p.File[:], p.Mapping[:], p.Source, p.Row, p.Rows, p.Accepted, p.Rejected,
		p.Persons, p.NewPersons, p.Events, p.NewEvents, p.Done)
}

func uuids(ids []privacy.DataSubjectID) [][16]byte {
	list := make([][16]byte, len(ids))
	for i, id := range ids {
		list[i] = id
	}
	return list
}
