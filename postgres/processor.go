package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar/opendsr"
	"github.com/mahrem/mahrem/privacy"
)

// ProcessorStore keeps those whom requests are passed on to, and what they said.
type ProcessorStore struct {
	db  *DB
	log transactor
}

var _ opendsr.ProcessorStore = (*ProcessorStore)(nil)

// NewProcessorStore returns a registry in db whose changes commit with their entries in log.
func NewProcessorStore(db *DB, log *AuditLog) *ProcessorStore {
	return &ProcessorStore{db: db, log: log}
}

const sqlProcessorAdd = `
insert into dsar.processor (processor_id, recipient, domain, base_url, api_version, roots, certificate, certificate_at,
	email_format, sealed_token, added_by, added_at)
values ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), $8, $9, $10, clock_timestamp())`

// Add implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Add(ctx context.Context, p opendsr.Processor, event audit.Event) (audit.Receipt, error) {
	if err := p.Check(); err != nil {
		return audit.Receipt{}, err
	}
	return changeOne(ctx, s.log, "adding processor", event, privacy.ErrConflict, sqlProcessorAdd, p.ID, string(p.Recipient), p.Domain, p.Base, string(p.Version),
		optionalText(p.Roots), p.Certificate, optionalText(string(p.EmailFormat)), p.SealedToken, p.AddedBy[:])
}

const sqlProcessorRetire = `
update dsar.processor set retired_at = greatest(clock_timestamp(), added_at)
where processor_id = $1 and retired_at is null`

// Retire implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Retire(ctx context.Context, id string, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "retiring processor", event, privacy.ErrNotFound, sqlProcessorRetire, id)
}

const sqlProcessorCertificate = `
update dsar.processor set certificate = $2, certificate_at = clock_timestamp()
where processor_id = $1`

// SetCertificate implements [opendsr.ProcessorStore].
func (s *ProcessorStore) SetCertificate(ctx context.Context, id, certificate string, event audit.Event) (audit.Receipt, error) {
	return changeOne(ctx, s.log, "keeping processor's certificate", event, privacy.ErrNotFound, sqlProcessorCertificate, id, certificate)
}

const processorColumns = `processor_id, recipient, domain, base_url, api_version, roots, certificate, certificate_at, email_format,
	sealed_token, added_by, added_at, retired_at`

func readProcessor(row pgx.CollectableRow) (opendsr.Processor, error) {
	var p opendsr.Processor
	var roots, format pgtype.Text
	var addedBy []byte
	var retired *time.Time
	err := row.Scan(&p.ID, &p.Recipient, &p.Domain, &p.Base, &p.Version, &roots, &p.Certificate, &p.CertificateAt, &format,
		&p.SealedToken, &addedBy, &p.AddedAt, &retired)
	if err == nil && len(addedBy) != len(p.AddedBy) {
		err = privacy.ErrDamaged
	}
	if err != nil {
		return opendsr.Processor{}, err
	}
	p.Roots, p.EmailFormat, p.AddedBy = roots.String, opendsr.Format(format.String), [16]byte(addedBy)
	p.CertificateAt, p.AddedAt = p.CertificateAt.UTC(), p.AddedAt.UTC()
	if retired != nil {
		p.RetiredAt = retired.UTC()
	}
	return p, nil
}

const sqlProcessorList = `
select ` + processorColumns + `
from dsar.processor
where retired_at is null or $1
order by retired_at is not null, processor_id`

// Processors implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Processors(ctx context.Context, all bool) ([]opendsr.Processor, error) {
	return queryAll(ctx, s.db, "listing processors", readProcessor, sqlProcessorList, all)
}

const sqlProcessorFind = `
select ` + processorColumns + `
from dsar.processor
where processor_id = $1`

// Find implements [opendsr.ProcessorStore].
func (s *ProcessorStore) Find(ctx context.Context, id string) (opendsr.Processor, error) {
	return queryFirst(ctx, s.db, "finding processor", readProcessor, sqlProcessorFind, id)
}

// A processor that was retired may still have answers to give.
const sqlProcessorByDomain = `
select ` + processorColumns + `
from dsar.processor
where domain = $1
order by retired_at is not null, retired_at desc
limit 1`

// ByDomain implements [opendsr.ProcessorStore].
func (s *ProcessorStore) ByDomain(ctx context.Context, domain string) (opendsr.Processor, error) {
	return queryFirst(ctx, s.db, "finding processor", readProcessor, sqlProcessorByDomain, domain)
}

// queryAll reads rows outside of a transaction.
func queryAll[T any](ctx context.Context, db *DB, what string, read func(pgx.CollectableRow) (T, error), statement string, arguments ...any) ([]T, error) {
	rows, err := db.pool.Query(ctx, statement, arguments...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(err))
	}
	found, err := pgx.CollectRows(rows, read)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, translate(err))
	}
	return found, nil
}

func queryFirst[T any](ctx context.Context, db *DB, what string, read func(pgx.CollectableRow) (T, error), statement string, arguments ...any) (T, error) {
	var zero T
	rows, err := db.pool.Query(ctx, statement, arguments...)
	if err != nil {
		return zero, fmt.Errorf("%s: %w", what, translate(err))
	}
	found, err := pgx.CollectExactlyOneRow(rows, read)
	if err != nil {
		return zero, fmt.Errorf("%s: %w", what, translate(err))
	}
	return found, nil
}
