package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/privacy"
)

const sqlHoldingsPerson = `
select d.jurisdiction,
	(select k.wrapped from keyring.person_key k where k.data_subject_id = d.data_subject_id),
	(select count(*) from consent.record r where r.data_subject_id = d.data_subject_id),
	(select max(r.recorded_at) from consent.record r where r.data_subject_id = d.data_subject_id)
from vault.data_subject d
where d.data_subject_id = $1 and not d.erasing`

const sqlHoldingsMore = `
select (select count(*) from gate.exposure x where x.data_subject_id = $1),
	(select count(*) from gate.case_file c where c.data_subject_id = $1)`

const sqlHoldingsHolds = `
select hold_id, scope from dsar.holds_on($1)`

const sqlHoldingsRecords = `
select slot, record_version, case when $2::boolean then sealed end
from vault.sealed_record
where data_subject_id = $1
order by slot`

const sqlHoldingsIdentifiers = `
select kind, blind_index
from vault.identifier
where data_subject_id = $1
order by kind, blind_index`

// The edges of each stream, from one slot to the next along the index: the rows between are
// not read, however many there are.
const sqlHoldingsEdges = `
with recursive streams (slot) as (
	(select c.slot from vault.event_chunk c where c.data_subject_id = $1 order by c.slot limit 1)
	union all
	select (select c.slot from vault.event_chunk c where c.data_subject_id = $1 and c.slot > s.slot order by c.slot limit 1)
	from streams s where s.slot is not null
)
select s.slot, low.chunk, high.chunk, high.record_version, high.event_count
from streams s
cross join lateral (
	select c.chunk from vault.event_chunk c where c.data_subject_id = $1 and c.slot = s.slot order by c.chunk limit 1) low
cross join lateral (
	select c.chunk, c.record_version, c.event_count from vault.event_chunk c
	where c.data_subject_id = $1 and c.slot = s.slot order by c.chunk desc limit 1) high
where s.slot is not null
order by s.slot`

const sqlHoldingsStreams = `
select slot, count(*), sum(event_count), sum(record_version)
from vault.event_chunk
where data_subject_id = $1
group by slot`

// The transaction begins and ends in the round trip that reads.
const (
	sqlHoldingsBegin = `begin isolation level repeatable read read only`
	sqlHoldingsEnd   = `commit`
)

// Holdings is [dsar.EraseStore]'s. It reads in one transaction of one snapshot.
func (s *EraseStore) Holdings(ctx context.Context, id privacy.DataSubjectID) (dsar.Holdings, error) {
	var held dsar.Holdings
	batch := &pgx.Batch{}
	batch.Queue(sqlHoldingsBegin)
	queueHoldings(batch, id, &held, true)
	batch.Queue(sqlHoldingsEnd)
	// A connection on which this fails is still in the transaction, and the pool drops it.
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return dsar.Holdings{}, fmt.Errorf("reading holdings: %w", translate(err))
	}
	if held.Jurisdiction == "" {
		return dsar.Holdings{}, fmt.Errorf("reading holdings: %w", privacy.ErrNotFound)
	}
	return held, nil
}

// queueHoldings reads into held; all also what takes the longer the more there is.
func queueHoldings(batch *pgx.Batch, id privacy.DataSubjectID, held *dsar.Holdings, all bool) {
	person := [16]byte(id)
	var consent *time.Time
	batch.Queue(sqlHoldingsPerson, person).Query(each([]any{&held.Jurisdiction, &held.Wrapped, &held.Consents, &consent}, func() {
		if consent != nil {
			held.LastConsent = consent.UTC()
		}
	}))
	var hold [16]byte
	var scope *[16]byte
	batch.Queue(sqlHoldingsHolds, person).Query(each([]any{&hold, &scope}, func() {
		on := dsar.HoldOn{Hold: hold}
		if scope != nil {
			on.Scope = *scope
		}
		held.Holds = append(held.Holds, on)
	}))
	var slot []byte
	var record dsar.HeldRecord
	batch.Queue(sqlHoldingsRecords, person, all).Query(each([]any{&slot, &record.Version, &record.Sealed}, func() {
		record.Slot = [16]byte(slot)
		held.Records = append(held.Records, record)
		record.Sealed = nil
	}))
	var identifier dsar.HeldIdentifier
	batch.Queue(sqlHoldingsIdentifiers, person).Query(each([]any{&identifier.Kind, &identifier.BlindIndex}, func() {
		held.Identifiers = append(held.Identifiers, identifier)
		identifier.BlindIndex = nil
	}))
	var stream dsar.HeldStream
	batch.Queue(sqlHoldingsEdges, person).Query(each([]any{&slot, &stream.First, &stream.Last, &stream.LastVersion, &stream.LastEvents}, func() {
		stream.Slot = [16]byte(slot)
		held.Streams = append(held.Streams, stream)
	}))
	if !all {
		return
	}
	var chunks, events, versions int64
	batch.Queue(sqlHoldingsStreams, person).Query(each([]any{&slot, &chunks, &events, &versions}, func() {
		for i := range held.Streams {
			if s := &held.Streams[i]; s.Slot == [16]byte(slot) {
				s.Chunks, s.Events, s.Versions = chunks, events, versions
			}
		}
	}))
	batch.Queue(sqlHoldingsMore, person).QueryRow(func(row pgx.Row) error { return row.Scan(&held.Exposures, &held.Cases) })
}

const sqlHoldingsChunks = `
select chunk, record_version, sealed
from vault.event_chunk
where data_subject_id = $1 and slot = $2 and chunk < $3
order by chunk desc
limit $4`

// SealedChunks is [dsar.EraseStore]'s.
func (s *EraseStore) SealedChunks(ctx context.Context, id privacy.DataSubjectID, slot [16]byte, before int64, limit int) ([]dsar.StoredChunk, error) {
	rows, err := s.db.pool.Query(ctx, sqlHoldingsChunks, [16]byte(id), slot[:], before, limit)
	if err != nil {
		return nil, fmt.Errorf("reading chunks: %w", translate(err))
	}
	chunks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (dsar.StoredChunk, error) {
		var c dsar.StoredChunk
		err := row.Scan(&c.Number, &c.Version, &c.Sealed)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading chunks: %w", translate(err))
	}
	return chunks, nil
}
