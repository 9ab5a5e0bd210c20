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
// demand of the profile follows: the fewer are left, the less consent is read.
//
//	$1 shape  $2 clock  $3 purpose  $4 channel  $5 general purposes
//	$6 tags of ages  $7 tags of households  $8 countries  $9 the numbers of their laws
const audienceCandidates = `
with candidate as (
    select p.data_subject_id, array_position($6::uuid[], p.age) - 1 + (array_position($7::uuid[], p.household) - 1) * 4 as person
    from gate.profile p
    where p.shape = $1 and p.fresh_until > $2
        and p.age = any ($6::uuid[]) and p.household = any ($7::uuid[])`

// Whoever has no record that counts is in the audience all the same, or is not: that depends
// on the filter, see [needsRecord].
const (
	audienceChoices = `
),
choice as (
    select c.data_subject_id, c.person,
        case when r.purpose = $3 and r.action not in ('objected', 'expired') then e.key end as choice,
        case when r.purpose = $3 and r.action = 'expired' then u.micros end as ended,
        case when r.purpose = $3 and r.action = 'objected' then e.key end as objection,
        case when r.purpose <> $3 then r.action = 'objected' end as objects
    from candidate c`
	audienceChosen = audienceChoices + `
    join consent.record r`
	audienceAnybody = audienceChoices + `
    left join consent.record r`
)

// audienceMembers folds the consent of the candidates. It is consent.FoldFor in SQL: of the
// records about a purpose and a channel, the deciding one, the last end that was noted and the
// deciding objection, in the order of that function; a no that is dated ahead of the clock
// counts now. The state follows from the three and from whether the person is a child. That a
// yes is of somebody who was one when they said it does not show here: its end is noted before
// the person's profile holds again. A record that lies ahead is none. Of the general purposes
// all that matters is whether an objection stands.
//
// Sorting everybody's records takes long, so the order is a number, and what decides is the
// greatest. From the low end: incentive (1 bit), basis (3), a guardian's (1), one who was
// verified (1), stale (1), ended (1), not explicit (1), protection (2), microseconds. It
// leaves out how the order goes on among records that are alike in all but the lowest seven
// bits. These rarely differ there; the second maximum, over the same with those bits turned
// round, tells when they do. Then, and where a time is too far off for the number, and where
// an explicit yes may lift an objection to a general purpose, a subselect reads the person's
// records in the full order.
//
// States and bases are numbers, the indexes in gate.CellStates and gate.CellBases: there are
// many rows; given is as in [gate.Cell], less four bits. Restriction, law and key are read
// for whom all else has let through. What a filter demands of these and of consent follows.
const audienceMembers = `
        on r.data_subject_id = c.data_subject_id and r.channel in ($4, '*')
        and (r.action not in ('granted', 'renewed', 'guardian_granted') or r.effective_at <= $2)
        and (r.purpose = $3 or r.purpose = any ($5::text[])
            and (r.action = 'objected' or r.action in ('granted', 'renewed', 'guardian_granted') and r.explicit))
    left join consent.stale_notice s on s.purpose = $3 and s.notice_version = r.notice_version
    cross join lateral (
        select greatest(date_part('epoch', case when r.action in ('granted', 'renewed', 'guardian_granted')
            then r.effective_at else least(r.effective_at, $2) end), -4e9) as seconds
    ) t
    cross join lateral (
        select (t.seconds * 1e6)::bigint as micros
    ) u
    cross join lateral (
        select u.micros * 2048
            + case r.action when 'granted' then 0 when 'renewed' then 0 when 'guardian_granted' then 0
                when 'refused' then 512 when 'withdrawn' then 1024 when 'guardian_withdrawn' then 1024 else 1536 end
            + case when r.explicit then 0 else 256 end + case when r.valid_until <= $2 then 128 else 0 end
            + case when (case when s.notice_version is null then (
                select o.stale_at from consent.stale_notice o where o.purpose = $3 and o.notice_version = ''
            ) else s.stale_at end) <= $2 then 64 else 0 end
            + case when r.guardian_verified then 48 when r.actor = 'guardian' then 16 else 0 end
            + case r.legal_basis
                when 'consent' then 2 when 'contract' then 4 when 'legal_obligation' then 6 when 'vital_interests' then 8
                when 'public_task' then 10 when 'legitimate_interests' then 12 else 14
            end + r.incentive::integer as key
    ) e
    offset 0
),
folded as (
    select h.data_subject_id, h.person, max(h.ended) as ended,
        max(h.choice) as choice, max(h.choice # 127) as choice_turned,
        max(h.objection) as objection, max(h.objection # 127) as objection_turned,
        bool_or(h.objects) as objects, bool_and(h.objects) as only_objects
    from choice h
    group by h.data_subject_id, h.person
),
member as (
    select f.data_subject_id, f.person,
        case
            when f.choice # 127 <> f.choice_turned or f.objection # 127 <> f.objection_turned
                or f.choice >> 11 <= -4e15::bigint or f.objection >> 11 <= -4e15::bigint then (` + audienceExactly + `)
            when f.objection is not null and (v.state = 1 and f.choice & 270 = 2 and f.choice >> 11 > f.objection >> 11) is not true
                then 4 | (f.objection << 2 & 56)::integer
            when v.state is null then case when f.ended is null then 0 else 5 end
            when v.state in (1, 6) then (v.state | (f.choice << 2 & 56) | (f.choice << 7 & 128))::integer + case when f.choice & 256 = 0 then 64 else 0 end
            else v.state | (f.choice << 2 & 56)::integer
        end as given,
        case
            when f.objects is not true then false
            when f.only_objects then true
            else exists (` + audienceGenerally + `)
        end as general
    from folded f
    cross join lateral (
        select case
            when f.choice & 1536 = 1024 then 2
            when f.choice & 1536 <> 0 then 3
            when f.choice & 128 <> 0 or f.choice >> 11 <= f.ended then 5
            when f.person & 3 = 1 and f.choice & 32 = 0 then 7
            when f.person & 3 <> 1 and f.choice & 16 <> 0 then 5
            when f.choice & 64 <> 0 then 6
            when f.choice is not null then 1
        end as state
    ) v
    offset 0
)
select m.data_subject_id,
    m.person + m.given * 16 + (m.general or m.given & 7 = 4)::integer * 4096 + d.restricted::integer * 8192 + coalesce(l.law, 0) * 16384 as cell
from member m
join vault.data_subject d on d.data_subject_id = m.data_subject_id
left join unnest($8::text[], $9::integer[]) as l (country, law) on l.country = d.jurisdiction
where exists (select from keyring.person_key k where k.data_subject_id = m.data_subject_id)`

// The choice that decides about a purpose, in the full order, and the last end that was
// noted. The purpose comes in between.
const (
	audienceDecides = `
    left join lateral (
        select r.action, r.explicit, r.incentive, r.legal_basis, r.valid_until, r.actor, r.guardian_verified, e.effective_at, (
            select s.stale_at
            from consent.stale_notice s
            where s.purpose = r.purpose and s.notice_version in (r.notice_version, '')
            order by s.notice_version desc
            limit 1
        ) as stale_at
        from consent.record r
        cross join lateral (
            select case when r.action in ('granted', 'renewed', 'guardian_granted')
                then r.effective_at else least(r.effective_at, $2) end as effective_at
        ) e
        where r.data_subject_id = f.data_subject_id and r.channel in ($4, '*')
            and r.action not in ('objected', 'expired') and e.effective_at <= $2
            and r.purpose = `
	audienceEnds = `
        order by e.effective_at desc,
            case r.action when 'granted' then 0 when 'renewed' then 0 when 'guardian_granted' then 0 when 'refused' then 1 else 2 end desc,
            r.explicit, r.valid_until nulls last, cardinality(r.categories), r.consent_id desc
        limit 1
    ) h on true
    left join lateral (
        select max(least(r.effective_at, $2)) as ended_at
        from consent.record r
        where r.data_subject_id = f.data_subject_id and r.channel in ($4, '*') and r.action = 'expired'
            and r.purpose = `
	// audienceStands is what the choice amounts to, as in member.
	audienceStands = `
    ) x on true
    cross join lateral (
        select case
            when h.action in ('withdrawn', 'guardian_withdrawn') then 2
            when h.action not in ('granted', 'renewed', 'guardian_granted') then 3
            when h.valid_until <= $2 or h.effective_at <= x.ended_at then 5
            when f.person & 3 = 1 and not h.guardian_verified then 7
            when f.person & 3 <> 1 and h.actor = 'guardian' then 5
            when h.stale_at <= $2 then 6
            when h.action is not null then 1
        end as state
    ) v`
	// audienceLifts is whether it sets an objection, o, aside.
	audienceLifts = `(v.state = 1 and h.explicit and h.legal_basis = 'consent' and h.effective_at > o.effective_at)`
)

// audienceExactly folds the consent of one person, f, in the full order.
const audienceExactly = `
    select case
            when o.effective_at is not null and ` + audienceLifts + ` is not true then 4 + n.of_objection * 8
            when v.state is null then case when x.ended_at is null then 0 else 5 end
            when v.state in (1, 6) then v.state + n.of_choice * 8 + h.explicit::integer * 64 + h.incentive::integer * 128
            else v.state + n.of_choice * 8
        end
    from (select) one` + audienceDecides + `$3` + audienceEnds + `$3` + audienceStands + `
    left join lateral (
        select r.legal_basis, least(r.effective_at, $2) as effective_at
        from consent.record r
        where r.data_subject_id = f.data_subject_id and r.purpose = $3 and r.channel in ($4, '*') and r.action = 'objected'
        order by least(r.effective_at, $2) desc,
            r.explicit, r.valid_until nulls last, cardinality(r.categories), r.consent_id desc
        limit 1
    ) o on true
    cross join lateral (
        select ` + audienceBasisOf + ` of_choice, ` + audienceBasisOfObjection + ` of_objection
    ) n`

const (
	audienceBasisOf = `
        case h.legal_basis
            when 'consent' then 1 when 'contract' then 2 when 'legal_obligation' then 3 when 'vital_interests' then 4
            when 'public_task' then 5 when 'legitimate_interests' then 6 else 7
        end`
	audienceBasisOfObjection = `
        case o.legal_basis
            when 'consent' then 1 when 'contract' then 2 when 'legal_obligation' then 3 when 'vital_interests' then 4
            when 'public_task' then 5 when 'legitimate_interests' then 6 else 7
        end`
)

// audienceGenerally has a row if an objection of one person, f, to a general purpose stands.
const audienceGenerally = `
    select from (
        select r.purpose, max(least(r.effective_at, $2)) as effective_at
        from consent.record r
        where r.data_subject_id = f.data_subject_id and r.purpose = any ($5::text[]) and r.channel in ($4, '*') and r.action = 'objected'
        group by r.purpose
    ) o` + audienceDecides + `o.purpose` + audienceEnds + `o.purpose` + audienceStands + `
    where ` + audienceLifts + ` is not true`

// sqlAudience finds everybody whose profile holds, and sqlAudienceChosen whoever of them
// has a record about the purpose. The statement that is run has further conditions in two
// places, see [audienceStatement].
const (
	sqlAudience       = audienceCandidates + audienceAnybody + audienceMembers
	sqlAudienceChosen = audienceCandidates + audienceChosen + audienceMembers
)

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
