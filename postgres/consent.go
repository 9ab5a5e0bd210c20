package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// ConsentStore keeps the consent ledger.
type ConsentStore struct {
	db    *DB
	log   *AuditLog
	queue consentQueue
}

var _ consent.Store = (*ConsentStore)(nil)

// NewConsentStore returns a ledger in db whose changes commit with their entries in log.
func NewConsentStore(db *DB, log *AuditLog) *ConsentStore {
	return &ConsentStore{db: db, log: log}
}

// The lock orders the choices of one person and holds off an erasure. It is a statement
// of its own, so that those after it see what was committed while it waited.
const sqlConsentLockPerson = `
select data_subject_id
from vault.data_subject
where data_subject_id = $1 and not erasing
for no key update`

// staleNotice joins to the consent record r, as s, since when its wording is out of date.
const staleNotice = `left join lateral (
    select s.stale_at
    from consent.stale_notice s
    where s.purpose = r.purpose and s.notice_version in (r.notice_version, '')
    order by s.notice_version desc
    limit 1
) s on true`

const sqlConsentList = `
select r.consent_id, r.purpose, r.channel, r.action, r.legal_basis, r.explicit, r.categories,
    r.notice_version, r.source, r.incentive, r.effective_at, r.recorded_at, r.valid_until,
    r.actor, r.guardian_verified, r.language, r.evidence_ref, r.jurisdiction, r.salt, s.stale_at
from consent.record r ` + staleNotice + `
where r.data_subject_id = $1
order by r.effective_at, r.recorded_at, r.consent_id`

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
		var until, stale *time.Time
		var salt []byte
		err := row.Scan(&r.ID, &r.Purpose, &r.Channel, &r.Action, &r.Basis, &r.Explicit, &categories,
			&r.NoticeVersion, &r.Source, &r.Incentive, &r.EffectiveAt, &r.RecordedAt, &until,
			&r.Actor, &r.GuardianVerified, &r.Language, &r.EvidenceRef, &r.Jurisdiction, &salt, &stale)
		copy(r.Salt[:], salt)
		for _, c := range categories {
			r.Categories = append(r.Categories, privacy.DataCategory(c))
		}
		r.EffectiveAt, r.RecordedAt = r.EffectiveAt.UTC(), r.RecordedAt.UTC()
		if until != nil {
			r.ValidUntil = until.UTC()
		}
		if stale != nil {
			r.StaleAt = stale.UTC()
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
