package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/mahrem/mahrem/gate"
	"github.com/mahrem/mahrem/policies"
	"github.com/mahrem/mahrem/privacy"
)

// AudienceStore finds the people of an audience.
type AudienceStore struct{ db *DB }

var _ gate.AudienceStore = (*AudienceStore)(nil)

// NewAudienceStore returns the store over db.
func NewAudienceStore(db *DB) *AudienceStore { return &AudienceStore{db: db} }

// audienceCandidates are the people whose profile holds. What a filter and the conditions
// demand of person and profile follows: the fewer are left, the less consent is read.
//
//	$1 shape  $2 clock  $3 purpose  $4 channel  $5 general purposes
//	$6 tags of ages  $7 tags of households  $8 countries  $9 their laws
const audienceCandidates = `
with candidate as materialized (
    select p.data_subject_id, p.age, p.household, d.jurisdiction, d.restricted
    from gate.profile p
    join vault.data_subject d on d.data_subject_id = p.data_subject_id
    where p.shape = $1 and p.fresh_until > $2
        and p.age = any ($6::uuid[]) and p.household = any ($7::uuid[])`

// audienceMembers folds the consent of the candidates. It is consent.Fold in SQL: of the
// records about a purpose and a channel, the deciding one and the deciding objection, both in
// the order of that function; a no that is dated ahead of the clock counts now. The state
// follows from the two. A record that lies ahead is none.
//
// What a filter demands of consent follows.
const audienceMembers = `
),
choice as (
    select distinct on (r.data_subject_id, r.purpose, r.action = 'objected')
        r.data_subject_id, r.purpose, r.action = 'objected' as objects, r.action, r.legal_basis, r.explicit, r.incentive,
        r.valid_until, e.effective_at
    from candidate c
    join consent.record r on r.data_subject_id = c.data_subject_id
    cross join lateral (
        select case when r.action = 'granted' then r.effective_at else least(r.effective_at, $2) end as effective_at
    ) e
    where r.purpose = any ($5::text[] || $3::text) and r.channel in ($4, '*') and e.effective_at <= $2
    order by r.data_subject_id, r.purpose, r.action = 'objected', e.effective_at desc,
        case r.action when 'granted' then 0 when 'refused' then 1 when 'withdrawn' then 2 else 4 end desc,
        r.explicit, r.valid_until nulls last, cardinality(r.categories), r.consent_id desc
),
deciding as (
    select h.data_subject_id, h.purpose,
        max(h.effective_at) filter (where h.objects) as objected_at,
        max(h.legal_basis) filter (where h.objects) as objected_basis,
        max(h.effective_at) filter (where not h.objects) as effective_at,
        max(h.action) filter (where not h.objects) as action,
        max(h.legal_basis) filter (where not h.objects) as legal_basis,
        bool_or(h.explicit) filter (where not h.objects) as explicit,
        bool_or(h.incentive) filter (where not h.objects) as incentive,
        max(h.valid_until) filter (where not h.objects) as valid_until
    from choice h
    group by h.data_subject_id, h.purpose
),
current as (
    select d.data_subject_id, d.purpose,
        case
            when d.objected_at is not null and not (
                d.action is not distinct from 'granted' and d.explicit and d.legal_basis = 'consent'
                and d.effective_at > d.objected_at and (d.valid_until is null or d.valid_until > $2)
            ) then 'objected'
            when d.action = 'granted' and d.valid_until <= $2 then 'expired'
            when d.action in ('granted', 'withdrawn') then d.action
            else 'refused'
        end as state,
        d.objected_basis, d.legal_basis, d.explicit, d.incentive
    from deciding d
),
member as (
    select c.data_subject_id, c.age, c.household, c.jurisdiction, c.restricted,
        coalesce(o.state, 'never_asked') as state,
        case when o.state is null then 'none' when o.state = 'objected' then o.objected_basis else o.legal_basis end as basis,
        coalesce(o.state = 'granted' and o.explicit, false) as explicit,
        coalesce(o.state = 'granted' and o.incentive, false) as incentive,
        coalesce(o.state = 'objected', false) or g.data_subject_id is not null as objected
    from candidate c
    left join current o on o.data_subject_id = c.data_subject_id and o.purpose = $3
    left join (
        select distinct u.data_subject_id
        from current u
        where u.purpose = any ($5::text[]) and u.state = 'objected'
    ) g on g.data_subject_id = c.data_subject_id
)
select m.data_subject_id,
    coalesce(array_position($6::uuid[], m.age), 1) - 1
    + (coalesce(array_position($7::uuid[], m.household), 4) - 1) * 4
    + (coalesce(array_position('{never_asked,granted,withdrawn,refused,objected,expired}'::text[], m.state), 8) - 1) * 16
    + (coalesce(array_position(
        '{none,consent,contract,legal_obligation,vital_interests,public_task,legitimate_interests}'::text[], m.basis), 8) - 1) * 128
    + m.explicit::integer * 1024 + m.incentive::integer * 2048 + m.objected::integer * 4096 + m.restricted::integer * 8192
    + coalesce(($9::integer[])[array_position($8::text[], m.jurisdiction)], 0) * 16384 as cell
from member m
where exists (select from keyring.person_key k where k.data_subject_id = m.data_subject_id)`

// sqlAudience finds everybody whose profile holds. The statement that is run has further
// conditions in both places, see [audienceStatement].
const sqlAudience = audienceCandidates + audienceMembers

// What a large search needs otherwise than a look-up by key, for one transaction: plans made
// for the values at hand, tables read as a whole, and room for sorting. And the clock.
const sqlAudienceBegin = `
select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true),
    set_config('work_mem', '128MB', true), coalesce($1::timestamptz, clock_timestamp())`

// FindAudience implements [gate.AudienceStore].
func (s *AudienceStore) FindAudience(ctx context.Context, search gate.AudienceSearch, found func(id privacy.DataSubjectID, cell gate.Cell) error) (time.Time, error) {
	var at time.Time
	if search.Filter.Kind != policies.FilterAll && search.Filter.Kind != policies.FilterWhere {
		return at, nil
	}
	err := pgx.BeginTxFunc(ctx, s.db.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var ignored string
		if err := tx.QueryRow(ctx, sqlAudienceBegin, timeOrNull(search.At)).Scan(&ignored, &ignored, &ignored, &at); err != nil {
			return err
		}
		statement, arguments, err := audienceStatement(&search, at)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, statement, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, arguments...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v := rows.RawValues()
			if len(v) != 2 || len(v[0]) != 16 || len(v[1]) != 4 {
				return fmt.Errorf("reading row: %w", privacy.ErrDamaged)
			}
			if err := found(privacy.DataSubjectID(v[0]), gate.Cell(binary.BigEndian.Uint32(v[1]))); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return at, fmt.Errorf("finding audience: %w", translate(err))
	}
	return at, nil
}
