package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/dsar"
	"github.com/mahrem/mahrem/dsar/identity"
	"github.com/mahrem/mahrem/dsar/outbox"
	"github.com/mahrem/mahrem/privacy"
)

// IdentityStore keeps the codes by which people prove who they are.
type IdentityStore struct {
	db  *DB
	log transactor
}

var _ identity.Store = (*IdentityStore)(nil)

// NewIdentityStore returns a store in db whose changes commit with their entries in log.
func NewIdentityStore(db *DB, log *AuditLog) *IdentityStore { return &IdentityStore{db: db, log: log} }

// The clock is asked for once, also where there is no code.
const sqlIdentityCodes = `
select c.number, c.code_tag, c.sent_at, c.expires_at, c.attempts, c.used_at, now.at,
	(select count(*) from dsar.request_step s where s.request_id = $1 and s.action = 'mistrust')
from (select clock_timestamp() as at offset 0) now
left join dsar.identity_code c on c.request_id = $1
order by c.number`

// Codes implements [identity.Store].
func (s *IdentityStore) Codes(ctx context.Context, request dsar.RequestID) (identity.Codes, error) {
	rows, err := s.db.pool.Query(ctx, sqlIdentityCodes, [16]byte(request))
	if err != nil {
		return identity.Codes{}, fmt.Errorf("reading codes: %w", translate(err))
	}
	var codes identity.Codes
	var number, attempts *int
	var tag *[16]byte
	var sent, expires, used *time.Time
	_, err = pgx.ForEachRow(rows, []any{&number, &tag, &sent, &expires, &attempts, &used, &codes.At, &codes.Failed}, func() error {
		if number == nil {
			return nil
		}
		code := identity.Code{
			Request: request, Number: *number, Tag: *tag, SentAt: sent.UTC(), ExpiresAt: expires.UTC(), Attempts: *attempts,
		}
		if used != nil {
			code.UsedAt = used.UTC()
		}
		codes.List = append(codes.List, code)
		return nil
	})
	if err != nil {
		return identity.Codes{}, fmt.Errorf("reading codes: %w", translate(err))
	}
	codes.At = codes.At.UTC()
	return codes, nil
}

const sqlIdentityAddCode = `
insert into dsar.identity_code (request_id, number, code_tag, sent_at, expires_at)
select $1, $2, $3, now.at, now.at + $4::interval
from (select clock_timestamp() as at offset 0) now
where (
	select count(*) from dsar.request r join dsar.identity_code c on c.request_id = r.request_id
	where r.tags && $5::uuid[] and c.sent_at > now.at - interval '1 hour'
) < $6
returning sent_at, expires_at`

// AddCode implements [identity.Store].
func (s *IdentityStore) AddCode(ctx context.Context, change dsar.Change, code identity.Code, life time.Duration, delivery outbox.Delivery) (identity.Code, audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		// One after the other, so that each is counted before the next.
		if _, err := tx.Exec(ctx, sqlRequestTurn, turns(privacy.DataSubjectID(code.Request), change.After.Tags)); err != nil {
			return translate(err)
		}
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, sqlIdentityAddCode, [16]byte(code.Request), code.Number, code.Tag, life, change.After.Tags, identity.MaxHourly).
			Scan(&code.SentAt, &code.ExpiresAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return identity.ErrTooMany
		}
		if err != nil {
			return translate(err)
		}
		code.SentAt, code.ExpiresAt = code.SentAt.UTC(), code.ExpiresAt.UTC()
		return EnqueueTx(ctx, tx, delivery)
	})
	if err != nil {
		return identity.Code{}, audit.Receipt{}, fmt.Errorf("recording code: %w", err)
	}
	return code, receipt, nil
}

const sqlIdentityCount = `
update dsar.identity_code
set attempts = attempts + 1, used_at = case when $4::boolean then clock_timestamp() end
where request_id = $1 and number = $2 and attempts = $3 and used_at is null`

// CountAttempt implements [identity.Store].
func (s *IdentityStore) CountAttempt(ctx context.Context, change dsar.Change, code identity.Code, right bool) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, change.Event, func(ctx context.Context, tx pgx.Tx) error {
		if err := TakeTx(ctx, tx, change); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sqlIdentityCount, [16]byte(code.Request), code.Number, code.Attempts, right)
		if err == nil && tag.RowsAffected() == 0 {
			return privacy.ErrConflict
		}
		return translate(err)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("counting attempt: %w", err)
	}
	return receipt, nil
}
