package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/vault"
	"github.com/mahrem/mahrem/vault/keyuse"
)

// KeyUseStore keeps how often keys were opened.
type KeyUseStore struct {
	db  *DB
	log *AuditLog
}

var _ keyuse.Store = (*KeyUseStore)(nil)

// NewKeyUseStore returns the store over db, with its evidence in log.
func NewKeyUseStore(db *DB, log *AuditLog) *KeyUseStore { return &KeyUseStore{db, log} }

const sqlKeyUseAdd = `
insert into archive.key_use (report, purpose, opened, abandoned, since, until)
select $1, u.purpose, u.opened, u.abandoned, $2, $3
from unnest($4::text[], $5::bigint[], $6::bigint[]) as u (purpose, opened, abandoned)`

// Add implements [keyuse.Store].
func (s *KeyUseStore) Add(ctx context.Context, report keyuse.Report) error {
	var purposes []string
	var opened, abandoned []int64
	for _, use := range report.Uses {
		purposes = append(purposes, string(use.Use))
		opened, abandoned = append(opened, int64(use.Opened)), append(abandoned, int64(use.Abandoned))
	}
	_, err := s.db.pool.Exec(ctx, sqlKeyUseAdd, report.ID[:], report.Since, report.Until, purposes, opened, abandoned)
	if err != nil {
		return fmt.Errorf("writing key uses: %w", translate(err))
	}
	return nil
}

const sqlKeyUseUncovered = `
select u.report, u.purpose, u.opened, u.abandoned, u.since, u.until, null::bytea
from archive.key_use u
where u.report in (
    select w.report
    from archive.key_use w
    where not exists (select from archive.key_count c where c.report = w.report)
    group by w.report
    order by min(w.until), w.report
    limit $1)
order by u.until, u.report, u.purpose`

// Uncovered implements [keyuse.Store].
func (s *KeyUseStore) Uncovered(ctx context.Context, limit int) ([]keyuse.Report, error) {
	covered, err := s.read(ctx, sqlKeyUseUncovered, limit)
	if err != nil {
		return nil, err
	}
	reports := make([]keyuse.Report, len(covered))
	for i := range covered {
		reports[i] = covered[i].Report
	}
	return reports, nil
}

const sqlKeyUseReports = `
select u.report, u.purpose, u.opened, u.abandoned, u.since, u.until, c.digest
from archive.key_use u
left join archive.key_count c on c.report = u.report
order by u.until, u.report, u.purpose`

// Reports implements [keyuse.Store].
func (s *KeyUseStore) Reports(ctx context.Context) ([]keyuse.Covered, error) {
	return s.read(ctx, sqlKeyUseReports)
}

// read collects rows of one report, which follow one another, into it.
func (s *KeyUseStore) read(ctx context.Context, sql string, args ...any) ([]keyuse.Covered, error) {
	rows, err := s.db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading key uses: %w", translate(err))
	}
	var reports []keyuse.Covered
	var id, digest []byte
	var use vault.UseCount
	var r keyuse.Covered
	_, err = pgx.ForEachRow(rows, []any{&id, &use.Use, &use.Opened, &use.Abandoned, &r.Since, &r.Until, &digest}, func() error {
		r.ID, r.Digest = keyuse.ID{}, audit.Digest{}
		copy(r.ID[:], id)
		copy(r.Digest[:], digest)
		if n := len(reports); n == 0 || reports[n-1].ID != r.ID {
			reports = append(reports, r)
		}
		last := &reports[len(reports)-1]
		last.Uses = append(last.Uses, use)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading key uses: %w", translate(err))
	}
	return reports, nil
}

const sqlKeyUseCover = `
insert into archive.key_count (report, digest)
select r.report, $2 from unnest($1::bytea[]) as r (report)`

// Cover implements [keyuse.Store].
func (s *KeyUseStore) Cover(ctx context.Context, reports []keyuse.Report, event audit.Event) (audit.Receipt, error) {
	ids := make([][]byte, len(reports))
	for i := range reports {
		ids[i] = reports[i].ID[:]
	}
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlKeyUseCover, ids, event.List[:])
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("covering key uses: %w", err)
	}
	return receipt, nil
}
