package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/consent"
	"github.com/mahrem/mahrem/privacy"
)

// Only an end after which nothing else was said about the purpose is noted: then the note
// changes no state. A renewal may arrive later than it was said,
// so there is a while in which it can.
const sqlConsentEnded = `
select r.data_subject_id, r.purpose, r.channel, r.legal_basis, r.notice_version, r.jurisdiction, r.valid_until
from consent.record r
where r.valid_until > clock_timestamp() - interval '1 year' and r.valid_until <= clock_timestamp() - make_interval(secs => $1)
    and r.action in ('granted', 'renewed', 'guardian_granted')
    and not exists (
        select
        from consent.record l
        where l.data_subject_id = r.data_subject_id and l.purpose = r.purpose and l.effective_at >= r.effective_at
            and l.consent_id <> r.consent_id and (l.channel = r.channel or l.channel = '*' or r.channel = '*')
    )
order by r.valid_until, r.data_subject_id, r.consent_id
limit $2`

// Ended returns the notes to be made of grants that ended longer ago than the grace, at most
// limit.
func (s *ConsentStore) Ended(ctx context.Context, grace time.Duration, limit int) ([]consent.Record, error) {
	rows, err := s.db.pool.Query(ctx, sqlConsentEnded, grace.Seconds(), limit)
	if err != nil {
		return nil, fmt.Errorf("finding ended grants: %w", translate(err))
	}
	ended, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (consent.Record, error) {
		var yes consent.Record
		var id [16]byte
		err := row.Scan(&id, &yes.Purpose, &yes.Channel, &yes.Basis, &yes.NoticeVersion, &yes.Jurisdiction, &yes.ValidUntil)
		yes.DataSubject = id
		return consent.Expiry(&yes, yes.ValidUntil.UTC(), consent.SourceEnd), err
	})
	if err != nil {
		return nil, fmt.Errorf("finding ended grants: %w", translate(err))
	}
	return ended, nil
}

const sqlConsentSaidBefore = `
select q.id
from unnest($1::uuid[], $2::timestamptz[]) as q (id, before)
where exists (
    select
    from consent.record r
    where r.data_subject_id = q.id and r.action in ('granted', 'renewed', 'guardian_granted') and r.effective_at < q.before
)`

// SaidBefore returns who of some people said yes to anything before a moment of theirs.
func (s *ConsentStore) SaidBefore(ctx context.Context, people []privacy.DataSubjectID, before []time.Time) ([]privacy.DataSubjectID, error) {
	rows, err := s.db.pool.Query(ctx, sqlConsentSaidBefore, uuids(people), before)
	if err != nil {
		return nil, fmt.Errorf("finding consents of children: %w", translate(err))
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id privacy.DataSubjectID, err error) {
		var b [16]byte
		err = row.Scan(&b)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("finding consents of children: %w", translate(err))
	}
	return found, nil
}
