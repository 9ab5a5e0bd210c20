package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent/iys"
	"github.com/mahrem/mahrem/privacy"
)

var _ iys.ExportStore = (*IYSStore)(nil)

const sqlIYSChanged = `
select distinct r.data_subject_id
from consent.record r
where r.purpose = 'marketing' and r.source <> 'iys' and r.recorded_at >= $1 and r.data_subject_id > $2
order by r.data_subject_id
limit $3`

// Changed implements [iys.ExportStore].
func (s *IYSStore) Changed(ctx context.Context, since time.Time, after privacy.DataSubjectID, limit int) ([]privacy.DataSubjectID, time.Time, error) {
	var looked time.Time
	var people []privacy.DataSubjectID
	var person [16]byte
	batch := &pgx.Batch{}
	batch.Queue(sqlConsentClock).QueryRow(func(row pgx.Row) error { return row.Scan(&looked) })
	batch.Queue(sqlIYSChanged, since, [16]byte(after), limit).Query(each([]any{&person}, func() {
		people = append(people, privacy.DataSubjectID(person))
	}))
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return nil, looked, fmt.Errorf("finding new choices: %w", translate(err))
	}
	return people, looked, nil
}

const sqlIYSSentWaiting = `
select address, type, status, said_at
from consent.iys_sent
where data_subject_id = $1 and brand = $2 and outcome = 'waiting'`

// Told implements [iys.ExportStore].
func (s *IYSStore) Told(ctx context.Context, brand int64, person privacy.DataSubjectID) (held, waiting []iys.Standing, err error) {
	if held, err = readStandings(ctx, s.db.pool, [][16]byte{person}, brand); err != nil {
		return nil, nil, err
	}
	rows, err := s.db.pool.Query(ctx, sqlIYSSentWaiting, [16]byte(person), brand)
	if err != nil {
		return nil, nil, fmt.Errorf("reading what was sent: %w", translate(err))
	}
	waiting, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (iys.Standing, error) {
		standing := iys.Standing{Person: person, As: iys.Individual}
		var address []byte
		err := row.Scan(&address, &standing.Type, &standing.Status, &standing.At)
		copy(standing.Address[:], address)
		return standing, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("reading what was sent: %w", translate(err))
	}
	return held, waiting, nil
}

// People who were erased since are left out.
const sqlIYSAddSent = `
insert into consent.iys_sent (data_subject_id, brand, request, position, address, type, status, said_at)
select q.data_subject_id, $1, $2, q.position - 1, q.address, q.type, q.status, q.said_at
from unnest($3::uuid[], $4::bytea[], $5::text[], $6::text[], $7::timestamptz[]) with ordinality
    as q (data_subject_id, address, type, status, said_at, position)
where exists (select from vault.data_subject d where d.data_subject_id = q.data_subject_id and not d.erasing)`

// Sent implements [iys.ExportStore].
func (s *IYSStore) Sent(ctx context.Context, brand int64, request string, items []iys.Standing, event audit.Event) error {
	n := len(items)
	people, addresses := make([][16]byte, n), make([][]byte, n)
	types, statuses, at := make([]string, n), make([]string, n), make([]time.Time, n)
	for i := range items {
		people[i], addresses[i] = items[i].Person, items[i].Address[:]
		types[i], statuses[i], at[i] = string(items[i].Type), string(items[i].Status), items[i].At
	}
	event.List = requestDigest(request)
	_, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlIYSAddSent, brand, request, people, addresses, types, statuses, at)
		return translate(err)
	})
	if err != nil {
		return fmt.Errorf("noting what was sent to the registry: %w", err)
	}
	return nil
}

// requestDigest stands for a batch in the log: the registry's name for it says nothing about
// anybody.
func requestDigest(request string) audit.Digest {
	return sha256.Sum256([]byte("mahrem/iys/request/v1\x00" + request))
}

const sqlIYSWaiting = `
select w.request, count(*), min(w.sent_at)
from consent.iys_sent w
where w.brand = $1 and w.outcome = 'waiting'
group by w.request
order by min(w.sent_at), w.request`

// Waiting implements [iys.ExportStore]. How long a batch was is not known any more once people
// of it were erased, so its size is the largest that there can be.
func (s *IYSStore) Waiting(ctx context.Context, brand int64) ([]iys.SentBatch, error) {
	rows, err := s.db.pool.Query(ctx, sqlIYSWaiting, brand)
	if err != nil {
		return nil, fmt.Errorf("finding what waits: %w", translate(err))
	}
	batches, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (iys.SentBatch, error) {
		b := iys.SentBatch{Size: iys.MaxBatch}
		err := row.Scan(&b.Request, &b.Open, &b.SentAt)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding what waits: %w", translate(err))
	}
	return batches, nil
}

const sqlIYSAnswer = `
update consent.iys_sent t
set outcome = q.outcome, code = q.code
from unnest($3::int[], $4::text[], $5::text[]) as q (position, outcome, code)
where t.brand = $1 and t.request = $2 and t.position = q.position and t.outcome = 'waiting'`

const sqlIYSTaken = `
insert into consent.iys_standing (data_subject_id, brand, address, type, recipient_type, status, said_at)
select t.data_subject_id, t.brand, t.address, t.type, 'BIREYSEL', t.status, t.said_at
from consent.iys_sent t
where t.brand = $1 and t.request = $2 and t.position = any($3::int[])
on conflict (data_subject_id, brand, address, type, recipient_type)
do update set status = excluded.status, said_at = excluded.said_at
where excluded.said_at > iys_standing.said_at`

// Answer implements [iys.ExportStore].
func (s *IYSStore) Answer(ctx context.Context, brand int64, request string, results []iys.Result, event audit.Event) error {
	var positions, taken []int32
	var outcomes, codes []string
	for _, r := range results {
		positions = append(positions, int32(r.Index))
		if r.Taken {
			taken = append(taken, int32(r.Index))
			outcomes, codes = append(outcomes, "taken"), append(codes, "")
			continue
		}
		outcomes, codes = append(outcomes, "failed"), append(codes, r.Failure.Code)
	}
	event.List = requestDigest(request)
	_, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(sqlIYSTurn, brand)
		batch.Queue(sqlIYSAnswer, brand, request, positions, outcomes, codes)
		batch.Queue(sqlIYSTaken, brand, request, taken)
		return translate(tx.SendBatch(ctx, batch).Close())
	})
	if err != nil {
		return fmt.Errorf("noting what the registry answered: %w", err)
	}
	return nil
}

const sqlIYSSetExported = `
insert into consent.iys_exchange (brand, name, row_number, after, rows_read, rows_rejected, rows_nobody, rows_recorded,
    rows_known, rows_held_back)
values ($1, 'consents', 0, $2, 0, 0, 0, 0, 0, 0)
on conflict (brand, name) do update set after = excluded.after, updated_at = now()`

// SetExported implements [iys.ExportStore].
func (s *IYSStore) SetExported(ctx context.Context, brand int64, until time.Time) error {
	if _, err := s.db.pool.Exec(ctx, sqlIYSSetExported, brand, until.UTC().Format(time.RFC3339Nano)); err != nil {
		return fmt.Errorf("noting until when the registry knows: %w", translate(err))
	}
	return nil
}

// Exported implements [iys.ExportStore].
func (s *IYSStore) Exported(ctx context.Context, brand int64) (time.Time, error) {
	p, err := s.Progress(ctx, brand, "consents")
	if err != nil || p.After == "" {
		return time.Time{}, err
	}
	until, err := time.Parse(time.RFC3339Nano, p.After)
	if err != nil {
		return until, fmt.Errorf("reading until when the registry knows: %w", privacy.ErrDamaged)
	}
	return until, nil
}

const sqlIYSExchanges = `
select name, row_number, after, rows_read, rows_rejected, rows_nobody, rows_recorded, rows_known, rows_held_back, done, updated_at
from consent.iys_exchange
where brand = $1
order by updated_at desc
limit 50`

const sqlIYSSentTally = `
select outcome, code, count(*), min(sent_at)
from consent.iys_sent
where brand = $1
group by outcome, code
order by outcome, code`

// IYSExchange is one exchange and when it went on last.
type IYSExchange struct {
	iys.Progress
	UpdatedAt time.Time
}

// IYSTally counts what was sent by what became of it.
type IYSTally struct {
	Outcome, Code string
	Count         int64
	Oldest        time.Time
}

// Overview returns the newest exchanges, and what became of what was sent. It names nobody.
func (s *IYSStore) Overview(ctx context.Context, brand int64) (exchanges []IYSExchange, tally []IYSTally, err error) {
	rows, err := s.db.pool.Query(ctx, sqlIYSExchanges, brand)
	if err != nil {
		return nil, nil, fmt.Errorf("listing exchanges: %w", translate(err))
	}
	exchanges, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (IYSExchange, error) {
		e := IYSExchange{Progress: iys.Progress{Brand: brand}}
		err := row.Scan(&e.Name, &e.Row, &e.After, &e.Read, &e.Rejected, &e.Nobody, &e.Recorded, &e.Known, &e.HeldBack, &e.Done, &e.UpdatedAt)
		return e, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listing exchanges: %w", translate(err))
	}
	if rows, err = s.db.pool.Query(ctx, sqlIYSSentTally, brand); err != nil {
		return nil, nil, fmt.Errorf("counting what was sent: %w", translate(err))
	}
	tally, err = pgx.CollectRows(rows, pgx.RowToStructByPos[IYSTally])
	if err != nil {
		return nil, nil, fmt.Errorf("counting what was sent: %w", translate(err))
	}
	return exchanges, tally, nil
}
