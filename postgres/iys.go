package postgres

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

// IYSStore keeps what the registry of messages said and was told.
type IYSStore struct {
	db  *DB
	log *AuditLog
}

var _ iys.Store = (*IYSStore)(nil)

// NewIYSStore returns a store in db whose changes commit with their entries in log.
func NewIYSStore(db *DB, log *AuditLog) *IYSStore { return &IYSStore{db: db, log: log} }

const sqlIYSProgress = `
select row_number, after, rows_read, rows_rejected, rows_nobody, rows_recorded, rows_known, rows_held_back, done
from consent.iys_exchange
where brand = $1 and name = $2`

// Progress implements [iys.Store].
func (s *IYSStore) Progress(ctx context.Context, brand int64, name string) (iys.Progress, error) {
	p := iys.Progress{Brand: brand, Name: name}
	err := s.db.pool.QueryRow(ctx, sqlIYSProgress, brand, name).Scan(&p.Row, &p.After, &p.Read, &p.Rejected, &p.Nobody, &p.Recorded, &p.Known, &p.HeldBack, &p.Done)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return p, fmt.Errorf("reading progress of an exchange: %w", translate(err))
	}
	return p, nil
}

// Batches of the registry are taken one after the other: what one of them says about an
// address decides what the next one may open.
const sqlIYSTurn = `select pg_advisory_xact_lock(4936101, hashint8($1::bigint))`

// Everybody who has one of the addresses. The list is as long as it is, whatever the planner
// thinks: each is looked up by itself.
const sqlIYSFind = `
select q.position, i.data_subject_id
from unnest($1::bigint[], $2::text[], $3::bytea[]) as q (position, kind, blind_index)
cross join lateral (
    select v.data_subject_id
    from vault.identifier v
    where v.kind = q.kind and v.blind_index = q.blind_index
    offset 0
) as i`

const sqlIYSStandings = `
select data_subject_id, address, type, recipient_type, status, said_at
from consent.iys_standing
where data_subject_id = any($1::uuid[]) and brand = $2`

const sqlIYSSetStandings = `
insert into consent.iys_standing (data_subject_id, brand, address, type, recipient_type, status, said_at)
select q.data_subject_id, $1, q.address, q.type, q.recipient_type, q.status, q.said_at
from unnest($2::uuid[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    as q (data_subject_id, address, type, recipient_type, status, said_at)
on conflict (data_subject_id, brand, address, type, recipient_type)
do update set status = excluded.status, said_at = excluded.said_at`

const sqlIYSSetProgress = `
insert into consent.iys_exchange (brand, name, row_number, after, rows_read, rows_rejected, rows_nobody, rows_recorded,
    rows_known, rows_held_back, done)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
on conflict (brand, name)
do update set row_number = excluded.row_number, after = excluded.after, rows_read = excluded.rows_read,
    rows_rejected = excluded.rows_rejected, rows_nobody = excluded.rows_nobody, rows_recorded = excluded.rows_recorded,
    rows_known = excluded.rows_known, rows_held_back = excluded.rows_held_back, done = excluded.done, updated_at = now()`

// Take implements [iys.Store].
func (s *IYSStore) Take(ctx context.Context, b *iys.Batch, settle func(people [][]privacy.DataSubjectID, standings []iys.Standing) iys.Settled) (iys.Progress, error) {
	progress := b.Progress
	_, err := s.log.AppendAllTx(ctx, func(ctx context.Context, tx pgx.Tx) ([]audit.Event, error) {
		progress = b.Progress
		people, standings, err := readIYS(ctx, tx, b)
		if err != nil {
			return nil, err
		}
		settled := settle(people, standings)
		rows := make([]*consentRow, len(settled.Records))
		for i := range settled.Records {
			rows[i] = &consentRow{record: settled.Records[i]}
		}
		events, added, err := addConsentBatch(ctx, tx, s.db, rows, audit.Event{Principal: b.By, Purpose: iys.Purpose})
		if err != nil {
			return nil, err
		}
		progress.Recorded += int64(added)
		progress.Known += int64(len(rows) - added)
		for _, fate := range settled.Fates {
			switch fate {
			case iys.ToNobody:
				progress.Nobody++
			case iys.HeldBack:
				progress.HeldBack++
			case iys.Recorded:
			}
		}
		event := b.Event
		event.List = iysDigest(rows)
		return append(events, event), writeIYS(ctx, tx, &progress, settled.Standings)
	})
	if err != nil {
		return b.Progress, fmt.Errorf("taking a batch of the registry: %w", err)
	}
	return progress, nil
}

// iysDigest is over the ids of the rows that were exchanged, which are keyed.
func iysDigest(rows []*consentRow) audit.Digest {
	h := sha256.New()
	h.Write([]byte("mahrem/iys/exchange/v1\x00"))
	for _, row := range rows {
		h.Write(row.record.ID[:])
	}
	return audit.Digest(h.Sum(nil))
}

func readIYS(ctx context.Context, tx pgx.Tx, b *iys.Batch) ([][]privacy.DataSubjectID, []iys.Standing, error) {
	people := make([][]privacy.DataSubjectID, len(b.Index))
	var positions []int64
	var kinds []string
	var indexes [][]byte
	for i, list := range b.Index {
		for _, index := range list {
			positions, kinds, indexes = append(positions, int64(i)), append(kinds, string(b.Kind[i])), append(indexes, index)
		}
	}
	var position int64
	var person [16]byte
	seen := map[[16]byte]bool{}
	var ids [][16]byte
	batch := &pgx.Batch{}
	batch.Queue(sqlIYSTurn, b.Progress.Brand)
	batch.Queue(sqlIYSFind, positions, kinds, indexes).Query(each([]any{&position, &person}, func() {
		if found := privacy.DataSubjectID(person); !slices.Contains(people[position], found) {
			people[position] = append(people[position], found)
		}
		if !seen[person] {
			seen[person] = true
			ids = append(ids, person)
		}
	}))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, nil, translate(err)
	}
	if err := lockIYS(ctx, tx, people, ids); err != nil {
		return nil, nil, err
	}
	standings, err := readStandings(ctx, tx, ids, b.Progress.Brand)
	return people, standings, err
}

// lockIYS locks those who were found, and takes out whoever is being erased.
func lockIYS(ctx context.Context, tx pgx.Tx, people [][]privacy.DataSubjectID, ids [][16]byte) error {
	var person [16]byte
	here := make(map[privacy.DataSubjectID]bool, len(ids))
	batch := &pgx.Batch{}
	batch.Queue(sqlConsentLockPeople, ids).Query(each([]any{&person}, func() { here[privacy.DataSubjectID(person)] = true }))
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return translate(err)
	}
	for i := range people {
		people[i] = slices.DeleteFunc(people[i], func(id privacy.DataSubjectID) bool { return !here[id] })
		slices.SortFunc(people[i], func(a, b privacy.DataSubjectID) int { return bytes.Compare(a[:], b[:]) })
	}
	return nil
}

func readStandings(ctx context.Context, q querier, people [][16]byte, brand int64) ([]iys.Standing, error) {
	if len(people) == 0 {
		return nil, nil
	}
	rows, err := q.Query(ctx, sqlIYSStandings, people, brand)
	if err != nil {
		return nil, fmt.Errorf("reading what the registry holds: %w", translate(err))
	}
	standings, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (iys.Standing, error) {
		var s iys.Standing
		var address []byte
		err := row.Scan((*[16]byte)(&s.Person), &address, &s.Type, &s.As, &s.Status, &s.At)
		copy(s.Address[:], address)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what the registry holds: %w", translate(err))
	}
	return standings, nil
}

func writeIYS(ctx context.Context, tx pgx.Tx, p *iys.Progress, standings []iys.Standing) error {
	batch := &pgx.Batch{}
	queueStandings(batch, p.Brand, standings)
	batch.Queue(sqlIYSSetProgress, p.Brand, p.Name, p.Row, p.After, p.Read, p.Rejected, p.Nobody, p.Recorded, p.Known, p.HeldBack, p.Done)
	return translate(tx.SendBatch(ctx, batch).Close())
}

func queueStandings(batch *pgx.Batch, brand int64, standings []iys.Standing) {
	n := len(standings)
	if n == 0 {
		return
	}
	people, addresses := make([][16]byte, n), make([][]byte, n)
	types, as, statuses, at := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i := range standings {
		s := &standings[i]
		people[i], addresses[i] = s.Person, s.Address[:]
		types[i], as[i], statuses[i], at[i] = string(s.Type), string(s.As), string(s.Status), s.At
	}
	batch.Queue(sqlIYSSetStandings, brand, people, addresses, types, as, statuses, at)
}
