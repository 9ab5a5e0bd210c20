package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/intake"
	"github.com/mahrem/mahrem/privacy"
)

// IntakeStore keeps what a loader brings.
type IntakeStore struct {
	db  *DB
	log *AuditLog
}

var _ intake.Store = (*IntakeStore)(nil)

// NewIntakeStore returns a store in db whose batches commit with their entries in log.
func NewIntakeStore(db *DB, log *AuditLog) *IntakeStore { return &IntakeStore{db: db, log: log} }

const sqlIntakeResolve = `
select q.position, i.data_subject_id
from unnest($1::bigint[], $2::text[], $3::bytea[]) as q (position, kind, blind_index)
join vault.identifier i on i.kind = q.kind and i.blind_index = q.blind_index`

const sqlIntakeSuppressed = `
select q.position
from unnest($1::bigint[], $2::bytea[]) as q (position, tag)
where exists (select from dsar.suppression s where s.tag = q.tag and s.lifted_at is null)`

// Resolve implements [intake.Store]: both statements in one round trip.
func (s *IntakeStore) Resolve(ctx context.Context, lookups []intake.Lookup) ([]intake.Resolved, error) {
	var positions, tagPositions []int64
	var kinds []string
	var indexes, tags [][]byte
	for i, lookup := range lookups {
		for _, tag := range lookup.Suppressions {
			tagPositions, tags = append(tagPositions, int64(i)), append(tags, tag[:])
		}
		for _, index := range lookup.BlindIndexes {
			positions = append(positions, int64(i))
			kinds = append(kinds, string(lookup.Kind))
			indexes = append(indexes, index)
		}
	}
	found := make([]intake.Resolved, len(lookups))
	if len(positions) == 0 {
		return found, nil
	}
	var position int64
	var id [16]byte
	batch := &pgx.Batch{}
	batch.Queue(sqlIntakeResolve, positions, kinds, indexes).Query(each([]any{&position, &id}, func() { found[position].Person = id }))
	batch.Queue(sqlIntakeSuppressed, tagPositions, tags).Query(each([]any{&position}, func() { found[position].Suppressed = true }))
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("resolving identifiers: %w", translate(err))
	}
	return found, nil
}

const sqlIntakeKeys = `
select q.position, k.wrapped
from unnest($1::bigint[], $2::uuid[]) as q (position, data_subject_id)
join keyring.person_key k on k.data_subject_id = q.data_subject_id`

const sqlIntakeRecords = `
select q.position, r.slot, r.record_version, r.sealed
from unnest($1::bigint[], $2::uuid[], $3::bytea[]) as q (position, data_subject_id, slot)
join vault.sealed_record r on r.data_subject_id = q.data_subject_id and r.slot = q.slot`

// The newest chunk of each stream; its content only while it has room.
const sqlIntakeChunks = `
select q.position, q.slot, c.chunk, c.record_version, c.event_count,
    case when c.event_count < 64 then c.sealed end
from unnest($1::bigint[], $2::uuid[], $3::bytea[]) as q (position, data_subject_id, slot)
cross join lateral (
    select e.chunk, e.record_version, e.event_count, e.sealed
    from vault.event_chunk e
    where e.data_subject_id = q.data_subject_id and e.slot = q.slot
    order by e.chunk desc
    limit 1
) c`

const sqlIntakeFingerprints = `
select q.position, q.fingerprint
from unnest($1::bigint[], $2::uuid[], $3::bytea[]) as q (position, data_subject_id, fingerprint)
join vault.event_fingerprint f on f.data_subject_id = q.data_subject_id and f.fingerprint = q.fingerprint`

const sqlIntakeConsents = `
select q.position, q.consent_id
from unnest($1::bigint[], $2::uuid[], $3::uuid[]) as q (position, data_subject_id, consent_id)
join consent.record r on r.data_subject_id = q.data_subject_id and r.consent_id = q.consent_id`

// Held implements [intake.Store]: five statements in one round trip. They may see
// different moments; the versions at the commit tell.
func (s *IntakeStore) Held(ctx context.Context, wanted []intake.Wanted) ([]intake.Held, error) {
	held := make([]intake.Held, len(wanted))
	var people, records, streams, prints, consents columns
	for i, w := range wanted {
		people.add(i, w.ID, nil)
		for _, slot := range w.Records {
			records.add(i, w.ID, slot[:])
		}
		for _, slot := range w.Streams {
			streams.add(i, w.ID, slot[:])
		}
		for _, fingerprint := range w.Fingerprints {
			prints.add(i, w.ID, fingerprint[:])
		}
		for _, consent := range w.Consents {
			consents.add(i, w.ID, consent[:])
		}
		held[i] = intake.Held{
			Records: map[[16]byte]intake.SealedRecord{}, Chunks: map[[16]byte]intake.SealedChunk{},
			Fingerprints: map[[16]byte]bool{}, Consents: map[[16]byte]bool{},
		}
	}
	var position int64
	var key, sealed []byte
	var id [16]byte
	batch := &pgx.Batch{}
	batch.Queue(sqlIntakeKeys, people.positions, people.ids).Query(each([]any{&position, &key}, func() {
		held[position].Wrapped, key = key, nil
	}))
	if len(records.ids) > 0 {
		var record intake.SealedRecord
		batch.Queue(sqlIntakeRecords, records.positions, records.ids, records.values).Query(
			each([]any{&position, &key, &record.Version, &sealed}, func() {
				held[position].Records[[16]byte(key)] = intake.SealedRecord{Version: record.Version, Sealed: sealed}
				sealed = nil
			}))
	}
	if len(streams.ids) > 0 {
		var chunk intake.SealedChunk
		batch.Queue(sqlIntakeChunks, streams.positions, streams.ids, streams.values).Query(
			each([]any{&position, &key, &chunk.Chunk, &chunk.Version, &chunk.Count, &sealed}, func() {
				chunk.Sealed, sealed = sealed, nil
				held[position].Chunks[[16]byte(key)] = chunk
			}))
	}
	if len(prints.ids) > 0 {
		batch.Queue(sqlIntakeFingerprints, prints.positions, prints.ids, prints.values).Query(
			each([]any{&position, &key}, func() { held[position].Fingerprints[[16]byte(key)] = true }))
	}
	if len(consents.ids) > 0 {
		ids := make([][16]byte, len(consents.values))
		for i, value := range consents.values {
			ids[i] = [16]byte(value)
		}
		batch.Queue(sqlIntakeConsents, consents.positions, consents.ids, ids).Query(
			each([]any{&position, &id}, func() { held[position].Consents[id] = true }))
	}
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("reading what is held: %w", translate(err))
	}
	return held, nil
}

// columns are the arrays that unnest turns into rows.
type columns struct {
	positions []int64
	ids       [][16]byte
	values    [][]byte
}

func (c *columns) add(position int, id privacy.DataSubjectID, value []byte) {
	c.positions = append(c.positions, int64(position))
	c.ids = append(c.ids, id)
	c.values = append(c.values, value)
}

// each scans every row and calls do.
func each(into []any, do func()) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, into, func() error {
			do()
			return nil
		})
		return err
	}
}

const sqlIntakeProgress = `
select source, last_row, row_count, accepted_count, rejected_count, person_count, new_person_count,
    event_count, new_event_count, done, updated_at
from intake.load_progress
where file_digest = $1 and mapping_digest = $2`

// Progress implements [intake.Store].
func (s *IntakeStore) Progress(ctx context.Context, file, mapping audit.Digest) (intake.Progress, error) {
	p := intake.Progress{File: file, Mapping: mapping}
	rows, err := s.db.pool.Query(ctx, sqlIntakeProgress, file[:], mapping[:])
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{
			&p.Source, &p.Row, &p.Rows, &p.Accepted, &p.Rejected, &p.Persons, &p.NewPersons,
			&p.Events, &p.NewEvents, &p.Done, &p.UpdatedAt,
		}, func() error { return nil })
	}
	if err != nil {
		return intake.Progress{}, fmt.Errorf("reading load progress: %w", translate(err))
	}
	return p, nil
}

// SetProgress implements [intake.Store].
func (s *IntakeStore) SetProgress(ctx context.Context, p intake.Progress) error {
	err := s.db.inTx(ctx, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		queueProgress(batch, &p)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("writing load progress: %w", translate(err))
	}
	return nil
}

// exactly makes a statement that must change n rows fail with [privacy.ErrConflict] if it
// changes another number.
func exactly(n int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return privacy.ErrConflict
		}
		return nil
	}
}
