package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mahrem/mahrem/audit"
	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// ConsentStore keeps the consent ledger.
type ConsentStore struct {
	db  *DB
	log *AuditLog
}

var _ consent.Store = (*ConsentStore)(nil)

// NewConsentStore returns a ledger in db whose changes commit with their entries in log.
func NewConsentStore(db *DB, log *AuditLog) *ConsentStore { return &ConsentStore{db: db, log: log} }

// The lock orders the choices of one person and holds off an erasure. It is a statement
// of its own, so that the insert sees what was committed while it waited.
const sqlConsentLockPerson = `
select data_subject_id
from vault.data_subject
where data_subject_id = $1 and not erasing
for no key update`

// A record without a time is dated now, after all records of the same person and
// purpose; a record with one is never dated after now. Both by the database's clock.
const sqlConsentAdd = `
insert into consent.record (
    data_subject_id, consent_id, purpose, channel, action, legal_basis, explicit,
    categories, notice_version, source, incentive, effective_at, recorded_at, valid_until
)
values (
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
    case when $12::timestamptz is null
        then greatest(clock_timestamp(), (
            select max(r.effective_at) + interval '1 microsecond'
            from consent.record r
            where r.data_subject_id = $1 and r.purpose = $3))
        else least($12::timestamptz, clock_timestamp())
    end,
    clock_timestamp(), $13
)`

// Add implements [consent.Store].
func (s *ConsentStore) Add(ctx context.Context, r consent.Record, event audit.Event) (audit.Receipt, error) {
	receipt, err := s.log.AppendTx(ctx, event, func(ctx context.Context, tx pgx.Tx) error {
		return addConsentTx(ctx, tx, &r)
	})
	if err != nil {
		return audit.Receipt{}, fmt.Errorf("adding consent record: %w", err)
	}
	return receipt, nil
}

// addConsentTx adds a record to the ledger of a person who is there, in the transaction of
// the entry that says so.
func addConsentTx(ctx context.Context, tx pgx.Tx, r *consent.Record) error {
	batch := &pgx.Batch{}
	batch.Queue(sqlConsentLockPerson, [16]byte(r.DataSubject)).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return privacy.ErrNotFound
		}
		return nil
	})
	batch.Queue(sqlConsentAdd, [16]byte(r.DataSubject), r.ID, string(r.Purpose), string(r.Channel),
		string(r.Action), string(r.Basis), r.Explicit, texts(r.Categories), r.NoticeVersion, r.Source,
		r.Incentive, timeOrNull(r.EffectiveAt), timeOrNull(r.ValidUntil))
	return translate(tx.SendBatch(ctx, batch).Close())
}

const sqlConsentList = `
select consent_id, purpose, channel, action, legal_basis, explicit, categories,
    notice_version, source, incentive, effective_at, recorded_at, valid_until
from consent.record
where data_subject_id = $1
order by effective_at, recorded_at, consent_id`

// List implements [consent.Store].
func (s *ConsentStore) List(ctx context.Context, id privacy.DataSubjectID) ([]consent.Record, error) {
	return listConsents(ctx, s.db.pool, id)
}

func listConsents(ctx context.Context, q querier, id privacy.DataSubjectID) ([]consent.Record, error) {
	rows, err := q.Query(ctx, sqlConsentList, [16]byte(id))
	if err != nil {
		return nil, fmt.Errorf("listing consent records: %w", translate(err))
	}
	records, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (consent.Record, error) {
		r := consent.Record{DataSubject: id}
		var categories []string
		var until *time.Time
		err := row.Scan(&r.ID, &r.Purpose, &r.Channel, &r.Action, &r.Basis, &r.Explicit, &categories,
			&r.NoticeVersion, &r.Source, &r.Incentive, &r.EffectiveAt, &r.RecordedAt, &until)
		for _, c := range categories {
			r.Categories = append(r.Categories, privacy.DataCategory(c))
		}
		r.EffectiveAt, r.RecordedAt = r.EffectiveAt.UTC(), r.RecordedAt.UTC()
		if until != nil {
			r.ValidUntil = until.UTC()
		}
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("listing consent records: %w", translate(err))
	}
	return records, nil
}

// texts turns words of one type into what the driver sends as text[].
func texts[T ~string](words []T) []string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = string(word)
	}
	return list
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
