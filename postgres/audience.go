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
//	$6 tags of ages  $7 tags of households  $8 countries  $9 the numbers of their laws
const audienceCandidates = `
with candidate as materialized (
    select p.data_subject_id, p.age, p.household, coalesce(l.law, 0) as law, d.restricted
    from gate.profile p
    join vault.data_subject d on d.data_subject_id = p.data_subject_id
    left join unnest($8::text[], $9::integer[]) as l (country, law) on l.country = d.jurisdiction
    where p.shape = $1 and p.fresh_until > $2
        and p.age = any ($6::uuid[]) and p.household = any ($7::uuid[])`

// audienceMembers folds the consent of the candidates. It is consent.Fold in SQL: of the
// records about a purpose and a channel, the deciding one and the deciding objection, both in
// the order of that function; a no that is dated ahead of the clock counts now. The state
// follows from the two. A record that lies ahead is none. Of the general purposes all that
// matters is whether an objection stands.
//
// States and bases are numbers, the indexes in gate.CellStates and gate.CellBases: there are
// many rows. What a filter demands of consent follows.
const audienceMembers = `
),
choice as (
    select distinct on (r.data_subject_id, r.action = 'objected')
        r.data_subject_id, r.action = 'objected' as objects, r.action, r.explicit, r.incentive, r.valid_until, e.effective_at,
        case r.legal_basis
            when 'consent' then 1 when 'contract' then 2 when 'legal_obligation' then 3 when 'vital_interests' then 4
            when 'public_task' then 5 when 'legitimate_interests' then 6 else 7
        end as basis
    from candidate c
    join consent.record r on r.data_subject_id = c.data_subject_id
    cross join lateral (
        select case when r.action = 'granted' then r.effective_at else least(r.effective_at, $2) end as effective_at
    ) e
    where r.purpose = $3 and r.channel in ($4, '*') and e.effective_at <= $2
    order by r.data_subject_id, r.action = 'objected', e.effective_at desc,
        case r.action when 'granted' then 0 when 'refused' then 1 when 'withdrawn' then 2 else 4 end desc,
        r.explicit, r.valid_until nulls last, cardinality(r.categories), r.consent_id desc
),
deciding as (
    select h.data_subject_id,
        max(h.effective_at) filter (where h.objects) as objected_at,
        max(h.basis) filter (where h.objects) as objected_basis,
        max(h.effective_at) filter (where not h.objects) as effective_at,
        max(h.action) filter (where not h.objects) as action,
        max(h.basis) filter (where not h.objects) as basis,
        bool_or(h.explicit) filter (where not h.objects) as explicit,
        bool_or(h.incentive) filter (where not h.objects) as incentive,
        max(h.valid_until) filter (where not h.objects) as valid_until
    from choice h
    group by h.data_subject_id
),
current as (
    select d.data_subject_id,
        case
            when d.objected_at is not null and not (
                d.action is not distinct from 'granted' and d.explicit and d.basis = 1
                and d.effective_at > d.objected_at and (d.valid_until is null or d.valid_until > $2)
            ) then 4
            when d.action = 'granted' then case when d.valid_until <= $2 then 5 else 1 end
            when d.action = 'withdrawn' then 2
            else 3
        end as state,
        d.objected_basis, d.basis, d.explicit, d.incentive
    from deciding d
),
general as (
    select distinct o.data_subject_id
    from (
        select distinct on (r.data_subject_id, r.purpose) r.data_subject_id, r.purpose, least(r.effective_at, $2) as effective_at
        from consent.record r
        where r.purpose = any ($5::text[]) and r.channel in ($4, '*') and r.action = 'objected'
        order by r.data_subject_id, r.purpose, least(r.effective_at, $2) desc
    ) o
    left join lateral (
        select r.action, r.explicit, r.legal_basis, e.effective_at, r.valid_until
        from consent.record r
        cross join lateral (
            select case when r.action = 'granted' then r.effective_at else least(r.effective_at, $2) end as effective_at
        ) e
        where r.data_subject_id = o.data_subject_id and r.purpose = o.purpose and r.channel in ($4, '*')
            and r.action <> 'objected' and e.effective_at <= $2
        order by e.effective_at desc,
            case r.action when 'granted' then 0 when 'refused' then 1 else 2 end desc,
            r.explicit, r.valid_until nulls last, cardinality(r.categories), r.consent_id desc
        limit 1
    ) h on true
    where (h.action = 'granted' and h.explicit and h.legal_basis = 'consent'
        and h.effective_at > o.effective_at and (h.valid_until is null or h.valid_until > $2)) is not true
),
member as (
    select c.data_subject_id, c.age, c.household, c.law, c.restricted,
        coalesce(o.state, 0) as state,
        case when o.state is null then 0 when o.state = 4 then o.objected_basis else o.basis end as basis,
        coalesce(o.state = 1 and o.explicit, false) as explicit,
        coalesce(o.state = 1 and o.incentive, false) as incentive,
        coalesce(o.state = 4, false) or g.data_subject_id is not null as objected
    from candidate c
    left join current o on o.data_subject_id = c.data_subject_id
    left join general g on g.data_subject_id = c.data_subject_id
)
select m.data_subject_id,
    array_position($6::uuid[], m.age) - 1 + (array_position($7::uuid[], m.household) - 1) * 4
    + m.state * 16 + m.basis * 128 + m.explicit::integer * 1024 + m.incentive::integer * 2048
    + m.objected::integer * 4096 + m.restricted::integer * 8192 + m.law * 16384 as cell
from member m
where exists (select from keyring.person_key k where k.data_subject_id = m.data_subject_id)`

// sqlAudience finds everybody whose profile holds. The statement that is run has further
// conditions in both places, see [audienceStatement].
const sqlAudience = audienceCandidates + audienceMembers

// What a large search needs otherwise than a look-up by key, for one transaction: plans made
// for the values at hand, tables read as a whole, room for sorting, and no joins row by row:
// the planner cannot know how many have agreed, and takes them for few. And the clock.
const sqlAudienceBegin = `
select set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true),
    set_config('enable_nestloop', 'off', true),
    set_config('work_mem', '128MB', true), coalesce($1::timestamptz, clock_timestamp())`

// FindAudience implements [gate.AudienceStore].
func (s *AudienceStore) FindAudience(ctx context.Context, search gate.AudienceSearch, found func(id privacy.DataSubjectID, cell gate.Cell) error) (time.Time, error) {
	var at time.Time
	if search.Filter.Kind != policies.FilterAll && search.Filter.Kind != policies.FilterWhere {
		return at, nil
	}
	err := pgx.BeginTxFunc(ctx, s.db.pool, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var ignored string
		if err := tx.QueryRow(ctx, sqlAudienceBegin, timeOrNull(search.At)).Scan(&ignored, &ignored, &ignored, &ignored, &at); err != nil {
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
