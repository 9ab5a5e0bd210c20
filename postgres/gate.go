package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/privacy"
)

// GateStore reads what the gate decides on and keeps its exposure ledger.
type GateStore struct {
	db  *DB
	log *AuditLog
}

var _ gate.Store = (*GateStore)(nil)

// NewGateStore returns the store over db, which commits exposures together with their
// entries in log.
func NewGateStore(db *DB, log *AuditLog) *GateStore { return &GateStore{db: db, log: log} }

// Resolve implements [gate.Store].
func (s *GateStore) Resolve(ctx context.Context, kind privacy.IdentifierKind, indexes [][]byte) (privacy.DataSubjectID, error) {
	const sqlGateResolve = `
select data_subject_id from vault.identifier where kind = $1 and blind_index = any ($2) limit 1`
	var id pgtype.UUID
	if err := s.db.pool.QueryRow(ctx, sqlGateResolve, string(kind), indexes).Scan(&id); err != nil {
		return privacy.DataSubjectID{}, fmt.Errorf("finding person by identifier: %w", translate(err))
	}
	return privacy.DataSubjectID(id.Bytes), nil
}

// maxConsents bounds the consent records of one person for one purpose and channel that
// a decision looks at. Beyond it nothing is decided: the one that matters may be missing.
const maxConsents = 256

// The parts of the answer to sqlGateLoad.
const (
	partClock = iota
	partPerson
	partRecord
	partChunk
	partConsent
	partExposure
)

// Load implements [gate.Store]. The parts of one statement share one snapshot. The
// columns mean different things in different parts; they are read as the bytes that
// PostgreSQL sends, because this is the one statement that every query waits for.
//
// Streams are four parameters and not an array: of an array PostgreSQL guesses that it
// has ten elements, finds the general plan dear for that, and plans the statement anew
// each time, which takes four times as long as running it.
func (s *GateStore) Load(ctx context.Context, load gate.LoadQuery) (gate.Snapshot, error) {
	const sqlGateLoad = `
select 0 as part, null::bytea as ref,
    case when $8::boolean then coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0) end as num,
    null::bigint as version, null::bytea as body, null::text as words, null::boolean as flag,
    clock_timestamp() as at, null::timestamptz as until
union all
select 1, null, null, null, k.wrapped, d.jurisdiction, d.restricted, null, null
from vault.data_subject d join keyring.person_key k on k.data_subject_id = d.data_subject_id
where d.data_subject_id = $1
union all
select 2, r.slot, null, r.record_version, r.sealed, null, null, null, null
from vault.sealed_record r
where r.data_subject_id = $1 and r.slot = any ($2::bytea[])
union all
select 3, c.slot, c.chunk, c.record_version, c.sealed, null, null, null, null
from (values ($3::bytea), ($9), ($10), ($11)) as wanted (slot) cross join lateral (
    select e.slot, e.chunk, e.record_version, e.sealed
    from vault.event_chunk e
    where e.data_subject_id = $1 and e.slot = wanted.slot
    order by e.chunk desc
    limit $4
) c
union all
(select 4, uuid_send(r.consent_id), null, null, null,
    concat_ws(' ', r.purpose, r.channel, r.action, r.legal_basis, r.incentive, array_to_string(r.categories, ',')),
    r.explicit, r.effective_at, r.valid_until
from consent.record r
where r.data_subject_id = $1 and r.purpose = any ($5::text[]) and r.channel in ($6, '*')
limit 257)
union all
(select 5, null, x.exposure_number, null, x.sealed, null, null, x.released_at, null
from gate.exposure x
where x.data_subject_id = $1 and x.recipient = $7
order by x.exposure_number desc
limit 1)`
	var streams [gate.MaxStreams][]byte
	if len(load.Streams) > len(streams) {
		return gate.Snapshot{}, fmt.Errorf("loading person: more than %d streams: %w", len(streams), privacy.ErrInvalid)
	}
	for i := range load.Streams {
		streams[i] = load.Streams[i][:]
	}
	rows, err := s.db.pool.Query(ctx, sqlGateLoad,
		pgx.QueryResultFormats{pgx.BinaryFormatCode},
		pgtype.UUID{Bytes: load.DataSubject, Valid: true}, slotList(load.Records), streams[0], load.Chunks,
		load.Purposes, load.Channel, load.Recipient, load.LogSize, streams[1], streams[2], streams[3])
	if err != nil {
		return gate.Snapshot{}, fmt.Errorf("loading person: %w", translate(err))
	}
	defer rows.Close()
	snapshot := gate.Snapshot{
		Records: make([]gate.SealedRecord, 0, len(load.Records)),
	}
	for rows.Next() {
		if err := readPart(&snapshot, &load, rows.RawValues()); err != nil {
			return gate.Snapshot{}, fmt.Errorf("loading person: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return gate.Snapshot{}, fmt.Errorf("loading person: %w", translate(err))
	}
	if snapshot.At.IsZero() || len(snapshot.Consents) > maxConsents {
		return gate.Snapshot{}, fmt.Errorf("loading person: no clock, or too many consent records: %w", privacy.ErrUnavailable)
	}
	return snapshot, nil
}

// readPart adds one row. The raw values are valid only until the next row.
func readPart(s *gate.Snapshot, load *gate.LoadQuery, v [][]byte) error {
	if len(v) != 9 || len(v[0]) != 4 {
		return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
	}
	switch binary.BigEndian.Uint32(v[0]) {
	case partClock:
		s.At = rawTime(v[7])
		s.LogSize = uint64(rawInt(v[2]))
	case partPerson:
		s.Known = true
		s.WrappedKey = append([]byte(nil), v[4]...)
		s.Jurisdiction = privacy.Jurisdiction(v[5])
		s.Restricted = !isFalse(v[6])
	case partRecord:
		s.Records = append(s.Records, gate.SealedRecord{
			Slot: rawSlot(v[1]), Version: rawInt(v[3]), Sealed: append([]byte(nil), v[4]...),
		})
	case partChunk:
		s.Chunks = append(s.Chunks, gate.SealedChunk{
			Slot: rawSlot(v[1]), Chunk: rawInt(v[2]), Version: rawInt(v[3]), Sealed: append([]byte(nil), v[4]...),
		})
	case partConsent:
		record, err := readConsent(load.DataSubject, v)
		if err != nil {
			return err
		}
		s.Consents = append(s.Consents, record)
	case partExposure:
		s.Exposure = gate.ExposureRow{
			DataSubject: load.DataSubject, Recipient: load.Recipient,
			Number: rawInt(v[2]), Sealed: append([]byte(nil), v[4]...), ReleasedAt: rawTime(v[7]),
		}
	default:
		return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
	}
	return nil
}

func readConsent(id privacy.DataSubjectID, v [][]byte) (consent.Record, error) {
	record := consent.Record{
		ID: rawSlot(v[1]), DataSubject: id, Explicit: isTrue(v[6]),
		EffectiveAt: rawTime(v[7]), ValidUntil: rawTime(v[8]),
	}
	words := string(v[5])
	var word [5]string
	for i := range word {
		var more bool
		word[i], words, more = strings.Cut(words, " ")
		if !more {
			return record, fmt.Errorf("reading consent record: %w", privacy.ErrDamaged)
		}
	}
	record.Purpose, record.Channel = privacy.Purpose(word[0]), privacy.Channel(word[1])
	record.Action, record.Basis = consent.Action(word[2]), privacy.LegalBasis(word[3])
	record.Incentive = word[4] != "f"
	if words != "" {
		for category := range strings.SplitSeq(words, ",") {
			record.Categories = append(record.Categories, privacy.DataCategory(category))
		}
	}
	return record, nil
}

// RecordExposure implements [gate.Store].
func (s *GateStore) RecordExposure(ctx context.Context, row gate.ExposureRow, event audit.Event) (audit.Receipt, error) {
	// The lock keeps the person from being erased in between, which would leave a row
	// that no later erasure finds a reason to look for.
	const sqlGateLockPerson = `
select 1 from vault.data_subject where data_subject_id = $1 for key share`
	const sqlGateRecordExposure = `
insert into gate.exposure (data_subject_id, recipient, exposure_number, sealed, released_at)
values ($1, $2, $3, $4, $5)`
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		id := pgtype.UUID{Bytes: row.DataSubject, Valid: true}
		var one int
		if err := tx.QueryRow(ctx, sqlGateLockPerson, id).Scan(&one); err != nil {
			return translate(err)
		}
		_, err := tx.Exec(ctx, sqlGateRecordExposure, id, string(row.Recipient), row.Number, row.Sealed, row.ReleasedAt)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("recording exposure: %w", err)
	}
	return receipt, nil
}

func slotList(slots []gate.Slot) [][]byte {
	list := make([][]byte, len(slots))
	for i := range slots {
		list[i] = slots[i][:]
	}
	return list
}

func rawSlot(b []byte) (slot [16]byte) {
	copy(slot[:], b)
	return slot
}

func rawInt(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// isTrue reports whether b is the boolean true, and nothing else.
func isTrue(b []byte) bool { return len(b) == 1 && b[0] == 1 }

// isFalse reports whether b is the boolean false. Anything else, null included, counts
// as the stricter true.
func isFalse(b []byte) bool { return len(b) == 1 && b[0] == 0 }

// rawTime reads a timestamptz: microseconds since 2000-01-01 UTC. Null is the zero time.
func rawTime(b []byte) time.Time {
	if len(b) != 8 {
		return time.Time{}
	}
	const epoch = 946684800
	micros := int64(binary.BigEndian.Uint64(b))
	return time.Unix(epoch+micros/1e6, micros%1e6*1e3).UTC()
}
