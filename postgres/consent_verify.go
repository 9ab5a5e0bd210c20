package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/consent/proof"
)

// VerifyConsents compares the consent ledger with the log as they are now, in one snapshot,
// while changes go on. That the log itself is whole is for [AuditLog.Verify] to say. An error
// means that it could not be checked. Progress may be nil.
func (db *DB) VerifyConsents(ctx context.Context, progress func(done, total uint64)) (proof.Report, error) {
	tx, err := db.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return proof.Report{}, fmt.Errorf("verifying consent ledger: %w", translate(err))
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if _, err := tx.Exec(ctx, sqlConsentVerifyPatience); err != nil {
		return proof.Report{}, fmt.Errorf("verifying consent ledger: %w", translate(err))
	}
	return proof.Check(ctx, &consentSource{tx}, progress)
}

// What is streamed takes as long as there are rows.
const sqlConsentVerifyPatience = `set local statement_timeout = 0`

// consentSource reads ledger and log within one transaction.
type consentSource struct{ tx pgx.Tx }

var _ proof.Source = (*consentSource)(nil)

const sqlConsentCount = `
select (select count(*) from consent.record) + (select count(*) from consent.gone) + (select count(*) from consent.batch)`

// Count implements [proof.Source].
func (s *consentSource) Count(ctx context.Context) (uint64, error) {
	return s.number(ctx, sqlConsentCount)
}

const sqlConsentBare = `select count(*) from consent.record where commitment is null`

// Bare implements [proof.Source].
func (s *consentSource) Bare(ctx context.Context) (uint64, error) {
	return s.number(ctx, sqlConsentBare)
}

func (s *consentSource) number(ctx context.Context, sql string) (uint64, error) {
	var n int64
	err := s.tx.QueryRow(ctx, sql).Scan(&n)
	return uint64(n), translate(err)
}

// Begin implements [proof.Source].
func (s *consentSource) Begin(ctx context.Context) (time.Time, error) {
	begin, err := readBegin(ctx, s.tx)
	if err != nil || begin == 0 {
		return time.Time{}, err
	}
	entries, err := readEntriesAt(ctx, s.tx, []uint64{begin})
	if err != nil {
		return time.Time{}, err
	}
	for _, e := range entries {
		if entry, err := audit.ParseEntry(e.Leaf); err == nil {
			return entry.Time, nil
		}
	}
	return time.Now(), nil // nothing is left of the log
}

// The bytes are "k":"consent. as entries have it: one that has not is about something else.
const sqlConsentEntries = `
select seq, leaf from audit.entry where position('\x226b223a22636f6e73656e742e'::bytea in leaf) > 0`

// Entries implements [proof.Source]. What does not parse is for the verification of the log.
func (s *consentSource) Entries(ctx context.Context, each func(uint64, *audit.Entry) error) error {
	var seq int64
	var leaf []byte
	return s.each(ctx, []any{&seq, &leaf}, func() error {
		if entry, err := audit.ParseEntry(leaf); err == nil {
			return each(uint64(seq), &entry)
		}
		return nil
	}, sqlConsentEntries)
}

const sqlConsentSpan = `
select data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit, categories,
    notice_version, source, incentive, actor, guardian_verified, language, evidence_ref, jurisdiction,
    case when isfinite(effective_at) then effective_at else '0001-01-01' end,
    case when isfinite(recorded_at) then recorded_at else '0001-01-01' end,
    -- The year 1 stands for none where it is read, and the ledger has none there.
    case when valid_until is null then null when valid_until = 'infinity' then '0001-01-02 00:00:00+00'
        else greatest(valid_until, '0001-01-02 00:00:00+00') end,
    salt, commitment, batch_id is not null
from consent.record
where commitment >= $1 and ($2::bytea is null or commitment < $2)`

// Rows implements [proof.Source].
func (s *consentSource) Rows(ctx context.Context, in proof.Span, each func(proof.Row) error) error {
	from, to := in.Bounds()
	rows, err := s.tx.Query(ctx, sqlConsentSpan, from, to)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	for rows.Next() {
		var row proof.Row
		var commitment []byte
		if row.Record, commitment, err = scanConsentRow(rows, &row.InBatch); err != nil {
			return translate(err)
		}
		row.Commitment = consent.Commitment(hashOf(commitment))
		if err := each(row); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}

const sqlConsentGone = `
select name, in_batch, erasure_digest
from (
    select g.commitment as name, false as in_batch, g.erasure_digest
    from consent.gone g
    where g.batch_id is null
    union all
    select b.digest, true, g.erasure_digest
    from consent.gone g join consent.batch b on b.batch_id = g.batch_id
) gone
where name >= $1 and ($2::bytea is null or name < $2)`

// Gone implements [proof.Source].
func (s *consentSource) Gone(ctx context.Context, in proof.Span, each func(proof.Gone) error) error {
	from, to := in.Bounds()
	var g proof.Gone
	var name, erasure []byte
	return s.each(ctx, []any{&name, &g.InBatch, &erasure}, func() error {
		g.Entry, g.Erasure = hashOf(name), audit.Digest(hashOf(erasure))
		return each(g)
	}, sqlConsentGone, from, to)
}

const sqlConsentBatches = `
select batch_id, digest, row_count, recorded_at from consent.batch where digest >= $1 and ($2::bytea is null or digest < $2)`

// Batches implements [proof.Source].
func (s *consentSource) Batches(ctx context.Context, in proof.Span, each func(proof.Batch) error) error {
	from, to := in.Bounds()
	var b proof.Batch
	var digest []byte
	return s.each(ctx, []any{&b.ID, &digest, &b.Rows, &b.RecordedAt}, func() error {
		b.Digest = audit.Digest(hashOf(digest))
		return each(b)
	}, sqlConsentBatches, from, to)
}

const sqlConsentMembers = `
select m.batch_id, m.itself, m.batch_position, m.commitment, b.digest, coalesce(b.row_count, 0)
from (
    select batch_id, false as itself, batch_position, commitment from consent.record where batch_id is not null
    union all
    select batch_id, false, batch_position, commitment from consent.gone where batch_id is not null
    union all
    -- A batch without any row is to be found too.
    select e.batch_id, true, -1, null from consent.batch e
) m left join consent.batch b on b.batch_id = m.batch_id
order by m.batch_id, m.batch_position, m.commitment`

// Members implements [proof.Source].
func (s *consentSource) Members(ctx context.Context, each func(proof.Member) error) error {
	var m proof.Member
	var position int
	var commitment, digest []byte
	return s.each(ctx, []any{&m.Batch, &m.Itself, &position, &commitment, &digest, &m.Rows}, func() error {
		m.Position, m.Commitment, m.Digest = position, consent.Commitment(hashOf(commitment)), audit.Digest(hashOf(digest))
		return each(m)
	}, sqlConsentMembers)
}

const sqlConsentErasures = `
select erasure_digest, commitment from consent.gone order by erasure_digest, commitment`

// Erasures implements [proof.Source].
func (s *consentSource) Erasures(ctx context.Context, each func(audit.Digest, consent.Commitment) error) error {
	var digest, commitment []byte
	return s.each(ctx, []any{&digest, &commitment}, func() error {
		return each(audit.Digest(hashOf(digest)), consent.Commitment(hashOf(commitment)))
	}, sqlConsentErasures)
}

// each streams the rows of a statement.
func (s *consentSource) each(ctx context.Context, into []any, do func() error, sql string, args ...any) error {
	rows, err := s.tx.Query(ctx, sql, args...)
	if err != nil {
		return translate(err)
	}
	_, err = pgx.ForEachRow(rows, into, do)
	return translate(err)
}
