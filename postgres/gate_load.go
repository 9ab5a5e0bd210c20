package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/gate/casework"
	"github.com/mahrem/mahrem/privacy"
)

const (
	// maxConsents bounds the consent records of one person for one purpose and channel
	// that a decision looks at. Beyond it nothing is decided: the one that matters may
	// be missing.
	maxConsents = 256
	// maxLoads bounds how many queries one statement reads for.
	maxLoads = 64
)

// The parts of the answer to sqlGateLoad.
const (
	partClock = iota
	partPerson
	partRecord
	partChunk
	partConsent
	partExposure
	partCase
)

// loadQueue gathers the loads that wait while others are being read, so that one
// statement reads for all of them. Nobody waits for company: a load that finds a worker
// free is read at once, alone. Reading costs the database about as much for ten people
// as for one, which is what lets the gate keep up with a plain table.
type loadQueue struct {
	// workers is how many statements may run at a time.
	workers int

	mu      sync.Mutex
	running int
	waiting []*pendingLoad
}

type pendingLoad struct {
	query    *gate.LoadQuery
	snapshot gate.Snapshot
	err      error
	done     chan struct{}
}

// Load implements [gate.Store]. Its statement starts after Load was called, so that
// every change acknowledged before the call is in the snapshot; all parts of it are of
// one snapshot.
func (s *GateStore) Load(ctx context.Context, query gate.LoadQuery) (gate.Snapshot, error) {
	load := &pendingLoad{query: &query, done: make(chan struct{})}
	q := &s.loads
	q.mu.Lock()
	q.waiting = append(q.waiting, load)
	if q.running < q.workers {
		q.running++
		go s.work()
	}
	q.mu.Unlock()
	select {
	case <-load.done:
	case <-ctx.Done():
		return gate.Snapshot{}, fmt.Errorf("loading person: %w", translate(ctx.Err()))
	}
	if load.err != nil {
		return gate.Snapshot{}, fmt.Errorf("loading person: %w", load.err)
	}
	return load.snapshot, nil
}

// work reads for whoever waits, until nobody does.
func (s *GateStore) work() {
	q := &s.loads
	for {
		runtime.Gosched() // whoever is about to ask comes along
		q.mu.Lock()
		n := min(len(q.waiting), maxLoads)
		if n == 0 {
			q.running--
			q.mu.Unlock()
			return
		}
		loads := append([]*pendingLoad(nil), q.waiting[:n]...)
		q.waiting = append(q.waiting[:0], q.waiting[n:]...)
		q.mu.Unlock()

		err := s.loadAll(loads)
		for _, load := range loads {
			switch {
			case err != nil:
				load.err = err
			case load.err != nil:
			case len(load.snapshot.Consents) > maxConsents:
				load.err = fmt.Errorf("reading too many consent records: %w", privacy.ErrUnavailable)
			}
			close(load.done)
		}
	}
}

// loadAll reads for several queries with one statement. An error is everybody's; what is
// wrong with one query's rows is set in its pendingLoad.
//
// The columns of sqlGateLoad mean different things in different parts; they are read as
// the bytes that PostgreSQL sends, because this is the statement that every query waits
// for. The lateral subqueries with their offset keep the plan what it is meant to be,
// one look-up by key for each row asked for, whatever the statistics say.
func (s *GateStore) loadAll(loads []*pendingLoad) error {
	const sqlGateLoad = `
select 0 as part, 0 as n, null::bytea as ref,
    case when $12::boolean then coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0) end as num,
    null::bigint as version, null::bytea as body, null::text as words, null::boolean as flag,
    clock_timestamp() as at, null::timestamptz as until
union all
select 1, q.n, null, null, null, p.wrapped, p.jurisdiction, p.restricted, null, null
from unnest($1::uuid[], $2::integer[]) as q (id, n) cross join lateral (
    select k.wrapped, d.jurisdiction, d.restricted
    from vault.data_subject d join keyring.person_key k on k.data_subject_id = d.data_subject_id
    where d.data_subject_id = q.id
    offset 0
) p
union all
select 2, q.n, r.slot, null, r.record_version, r.sealed, null, null, null, null
from unnest($3::integer[], $4::bytea[]) as q (n, slot) cross join lateral (
    select r.slot, r.record_version, r.sealed
    from vault.sealed_record r
    where r.data_subject_id = ($1::uuid[])[q.n] and r.slot = q.slot
    offset 0
) r
union all
select 3, q.n, c.slot, c.chunk, c.record_version, c.sealed, null, null, null, null
from unnest($5::integer[], $6::bytea[], $7::integer[]) as q (n, slot, chunks) cross join lateral (
    select e.slot, e.chunk, e.record_version, e.sealed
    from vault.event_chunk e
    where e.data_subject_id = ($1::uuid[])[q.n] and e.slot = q.slot
    order by e.chunk desc
    limit q.chunks
) c
union all
select 4, q.n, uuid_send(r.consent_id), (extract(epoch from s.stale_at) * 1000000)::bigint, null, null,
    concat_ws(' ', r.purpose, r.channel, r.action, r.legal_basis, r.incentive,
        case when r.guardian_verified then 'verified' else r.actor end, array_to_string(r.categories, ',')),
    r.explicit, r.effective_at, r.valid_until
from unnest($8::integer[], $9::text[], $10::text[]) as q (n, purpose, channel) cross join lateral (
    select r.consent_id, r.purpose, r.channel, r.action, r.legal_basis, r.incentive, r.categories,
        r.explicit, r.effective_at, r.valid_until, r.actor, r.guardian_verified, r.notice_version
    from consent.record r
    where r.data_subject_id = ($1::uuid[])[q.n] and r.purpose = q.purpose and r.channel in (q.channel, '*')
    limit 257
) r ` + staleNotice + `
union all
select 5, q.n, null, x.exposure_number, null, x.sealed, null, null, x.released_at, null
from unnest($2::integer[], $11::text[]) as q (n, recipient) cross join lateral (
    select x.exposure_number, x.sealed, x.released_at
    from gate.exposure x
    where x.data_subject_id = ($1::uuid[])[q.n] and x.recipient = q.recipient
    order by x.exposure_number desc
    limit 1
) x`
	// The case that a query names is a part of its own, so that whoever names none does
	// not pay for it.
	const sqlGateLoadCases = sqlGateLoad + `
union all
select 6, q.n, null, null, null, null, null, null, c.opened_at, c.ends_at
from unnest($13::integer[], $14::uuid[]) as q (n, id) cross join lateral (
    select c.opened_at, c.ends_at
    from gate.case_file c
    where c.data_subject_id = ($1::uuid[])[q.n] and c.case_id = q.id
        and c.recipient = ($11::text[])[q.n] and c.closed_at is null
    offset 0
) c`
	a := newLoadArguments(len(loads))
	for i, load := range loads {
		a.add(int32(i+1), load.query)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.within)
	defer cancel()
	text, arguments := sqlGateLoad, []any{
		pgx.QueryResultFormats{pgx.BinaryFormatCode},
		a.people, a.numbers, a.recordOf, a.records, a.streamOf, a.streams, a.chunks,
		a.purposeOf, a.purposes, a.channels, a.recipients, a.logSize,
	}
	if len(a.cases) > 0 {
		text, arguments = sqlGateLoadCases, append(arguments, a.caseOf, a.cases)
	}
	rows, err := s.db.pool.Query(ctx, text, arguments...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	var at time.Time
	var size uint64
	for rows.Next() {
		v := rows.RawValues()
		if len(v) != 10 || len(v[0]) != 4 || len(v[1]) != 4 {
			return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
		}
		n := int(binary.BigEndian.Uint32(v[1]))
		if binary.BigEndian.Uint32(v[0]) == partClock {
			at, size = rawTime(v[8]), uint64(rawInt(v[3]))
			continue
		}
		if n < 1 || n > len(loads) {
			return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
		}
		load := loads[n-1]
		if err := readPart(&load.snapshot, load.query, v); err != nil && load.err == nil {
			load.err = err
		}
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	if at.IsZero() {
		return fmt.Errorf("reading the clock: %w", privacy.ErrUnavailable)
	}
	for _, load := range loads {
		load.snapshot.At = at
		bindNow(load.snapshot.Consents, at)
		if load.query.LogSize {
			load.snapshot.LogSize = size
		}
	}
	return nil
}

// loadArguments are the parameters of sqlGateLoad: what each query, known by its number,
// wants to have.
type loadArguments struct {
	people     []pgtype.UUID
	numbers    []int32
	recipients []string

	recordOf []int32
	records  [][]byte

	streamOf, chunks []int32
	streams          [][]byte

	purposeOf          []int32
	purposes, channels []string

	caseOf []int32
	cases  []pgtype.UUID

	logSize bool
}

func newLoadArguments(n int) *loadArguments {
	return &loadArguments{
		people: make([]pgtype.UUID, 0, n), numbers: make([]int32, 0, n), recipients: make([]string, 0, n),
		recordOf: make([]int32, 0, 3*n), records: make([][]byte, 0, 3*n),
		streamOf: []int32{}, chunks: []int32{}, streams: [][]byte{},
		purposeOf: make([]int32, 0, n), purposes: make([]string, 0, n), channels: make([]string, 0, n),
	}
}

func (a *loadArguments) add(n int32, query *gate.LoadQuery) {
	a.people = append(a.people, pgtype.UUID{Bytes: query.DataSubject, Valid: true})
	a.numbers = append(a.numbers, n)
	a.recipients = append(a.recipients, string(query.Recipient))
	for i := range query.Records {
		a.recordOf, a.records = append(a.recordOf, n), append(a.records, query.Records[i][:])
	}
	for i := range query.Streams {
		a.streamOf, a.streams = append(a.streamOf, n), append(a.streams, query.Streams[i][:])
		a.chunks = append(a.chunks, int32(query.Chunks))
	}
	for _, purpose := range query.Purposes {
		a.purposeOf, a.purposes = append(a.purposeOf, n), append(a.purposes, string(purpose))
		a.channels = append(a.channels, string(query.Channel))
	}
	if query.Case != (casework.ID{}) {
		a.caseOf, a.cases = append(a.caseOf, n), append(a.cases, pgtype.UUID{Bytes: query.Case, Valid: true})
	}
	a.logSize = a.logSize || query.LogSize
}
