package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/retention"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

const sqlRetentionOldCases = `
select count(*) from gate.case_file where least(closed_at, ends_at) < $1`

const sqlRetentionOldExposures = `
select count(*) from gate.exposure where released_at < $1`

const sqlRetentionOldRequests = `
select count(*) from dsar.request where closed_at < $1`

const sqlRetentionOldContents = `
select count(*)
from dsar.request r
join keyring.request_key k on k.request_id = r.request_id
where r.closed_at < $1`

const sqlRetentionOldPeopleCounts = `
select count(*) from archive.people where day < $1::timestamptz::date`

// CountOld is [retention.Store]'s.
func (s *RetentionStore) CountOld(ctx context.Context, kind policies.RecordKind, before time.Time) (n int64, err error) {
	statement, ok := map[policies.RecordKind]string{
		policies.EndedCases: sqlRetentionOldCases, policies.Exposures: sqlRetentionOldExposures,
		policies.ClosedRequests: sqlRetentionOldRequests, policies.RequestContents: sqlRetentionOldContents,
		policies.PeopleCounts: sqlRetentionOldPeopleCounts,
	}[kind]
	if !ok {
		return 0, fmt.Errorf("counting rows of kind %q: %w", kind, privacy.ErrInvalid)
	}
	if err := s.db.pool.QueryRow(ctx, statement, before).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting old rows: %w", translate(err))
	}
	return n, nil
}

const sqlRetentionEnded = `
select w.withheld_id
from dsar.withheld w
where (w.until is null or w.until <= $1)
    and (w.hold_id is null or exists (select from dsar.hold h where h.hold_id = w.hold_id and h.released_at is not null))
order by w.withheld_id
limit $2`

// Ended is [retention.Store]'s.
func (s *RetentionStore) Ended(ctx context.Context, at time.Time, limit int) ([][16]byte, error) {
	rows, err := s.db.pool.Query(ctx, sqlRetentionEnded, at, limit)
	if err != nil {
		return nil, fmt.Errorf("finding what need not be withheld any more: %w", translate(err))
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[[16]byte])
	if err != nil {
		return nil, fmt.Errorf("finding what need not be withheld any more: %w", translate(err))
	}
	return ids, nil
}

const sqlRetentionEraseWithheld = `
select dsar.erase_withheld($1)`

// DropWithheld is [retention.Store]'s.
func (s *RetentionStore) DropWithheld(ctx context.Context, run retention.RunID, ids [][16]byte, event audit.Event) (n int64, receipt audit.Receipt, err error) {
	receipt, err = s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, sqlRetentionEraseWithheld, ids).Scan(&n); err != nil {
			return translate(err)
		}
		if n == 0 {
			return retention.ErrNothing
		}
		return addCounts(ctx, tx, run, []retention.Count{{What: "withheld", Destroyed: n}})
	})
	if err != nil {
		return 0, audit.Receipt{}, fmt.Errorf("erasing what was withheld: %w", err)
	}
	return n, receipt, nil
}

const sqlRetentionBegin = `
insert into dsar.retention_run (run_id, policy, started_at)
values ($1, $2, $3)`

// BeginRun is [retention.Store]'s.
func (s *RetentionStore) BeginRun(ctx context.Context, run retention.Run) error {
	if _, err := s.db.pool.Exec(ctx, sqlRetentionBegin, [16]byte(run.ID), run.Policy[:], run.Started); err != nil {
		return fmt.Errorf("recording that a run began: %w", translate(err))
	}
	return nil
}

const sqlRetentionFinish = `
update dsar.retention_run
set finished_at = greatest($2, started_at)
where run_id = $1`

// FinishRun is [retention.Store]'s.
func (s *RetentionStore) FinishRun(ctx context.Context, id retention.RunID, at time.Time) error {
	if _, err := s.db.pool.Exec(ctx, sqlRetentionFinish, [16]byte(id), at); err != nil {
		return fmt.Errorf("recording that a run ended: %w", translate(err))
	}
	return nil
}

const sqlRetentionLastFinished = `
select max(finished_at) from dsar.retention_run`

// LastFinished is [retention.Store]'s.
func (s *RetentionStore) LastFinished(ctx context.Context) (time.Time, error) {
	return s.latest(ctx, sqlRetentionLastFinished, "reading when the last run ended")
}

func (s *RetentionStore) latest(ctx context.Context, statement, doing string) (time.Time, error) {
	var at *time.Time
	if err := s.db.pool.QueryRow(ctx, statement).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", doing, translate(err))
	}
	if at == nil {
		return time.Time{}, nil
	}
	return at.UTC(), nil
}

const sqlRetentionRuns = `
select count(*) filter (where r.finished_at is not null), count(*) filter (where r.finished_at is null), coalesce(sum(r.people), 0)::bigint
from dsar.retention_run r
where r.started_at >= $1 and r.started_at < $2`

const sqlRetentionGap = `
select coalesce(max(extract(epoch from (g.ends - g.begins)) / 86400), 0)::bigint
from (
    select r.at as begins, lead(r.at, 1, $2::timestamptz) over (order by r.at) as ends
    from (
        select $1::timestamptz as at
        union all
        select finished_at from dsar.retention_run where finished_at >= $1 and finished_at < $2) r) g`

const sqlRetentionCounts = `
select c.what, c.category, sum(c.destroyed)::bigint, sum(c.held)::bigint
from dsar.retention_run r
join dsar.retention_count c on c.run_id = r.run_id
where r.started_at >= $1 and r.started_at < $2
group by c.what, c.category
order by c.what, c.category`

const sqlRetentionErasures = `
select count(*), coalesce(sum(e.identifiers), 0)::bigint, coalesce(sum(e.records), 0)::bigint, coalesce(sum(e.chunks), 0)::bigint
from dsar.erasure e
where e.erased_at >= $1 and e.erased_at < $2`

const sqlRetentionInForce = `
select (select count(*) from dsar.hold where set_at < $1 and (released_at is null or released_at >= $1)),
    (select count(*) from dsar.withheld where created_at < $1)`

// Destruction is [retention.Store]'s.
func (s *RetentionStore) Destruction(ctx context.Context, from, to time.Time) (retention.Destruction, error) {
	d := retention.Destruction{From: from, To: to, Counts: []retention.Count{}}
	batch := &pgx.Batch{}
	batch.Queue(sqlRetentionRuns, from, to).QueryRow(func(row pgx.Row) error { return row.Scan(&d.Runs, &d.Broken, &d.People) })
	batch.Queue(sqlRetentionGap, from, to).QueryRow(func(row pgx.Row) error { return row.Scan(&d.LongestGap) })
	batch.Queue(sqlRetentionErasures, from, to).QueryRow(func(row pgx.Row) error {
		return row.Scan(&d.Erasures, &d.Identifiers, &d.Records, &d.Chunks)
	})
	batch.Queue(sqlRetentionInForce, to).QueryRow(func(row pgx.Row) error { return row.Scan(&d.Holds, &d.Withheld) })
	var c retention.Count
	batch.Queue(sqlRetentionCounts, from, to).Query(each([]any{&c.What, &c.Category, &c.Destroyed, &c.Held}, func() {
		d.Counts = append(d.Counts, c)
	}))
	if err := s.db.pool.SendBatch(ctx, batch).Close(); err != nil {
		return retention.Destruction{}, fmt.Errorf("summing up what was destroyed: %w", translate(err))
	}
	return d, nil
}

const sqlRetentionLastReport = `
select max(to_at) from dsar.retention_report`

const sqlRetentionFirstRun = `
select min(started_at) from dsar.retention_run`

// LastReport is [retention.Store]'s.
func (s *RetentionStore) LastReport(ctx context.Context) (time.Time, error) {
	return s.latest(ctx, sqlRetentionLastReport, "reading the end of the last report")
}

// FirstRun is [retention.Store]'s.
func (s *RetentionStore) FirstRun(ctx context.Context) (time.Time, error) {
	return s.latest(ctx, sqlRetentionFirstRun, "reading when the first run began")
}

const sqlRetentionAddReport = `
insert into dsar.retention_report (report_id, from_at, to_at, note)
values ($1, $2, $3, $4)`

// AddReport is [retention.Store]'s.
func (s *RetentionStore) AddReport(ctx context.Context, id [16]byte, from, to time.Time, note []byte, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlRetentionAddReport, id, from, to, note)
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("recording report: %w", err)
	}
	return receipt, nil
}
