-- +goose Up
-- Legal holds: how many people one bound, and forgetting who they were. Retention (GDPR
-- Article 5(1)(e), KVKK Article 7 and the by-law on erasure): what is not needed any more
-- goes by the functions below, because mahrem_app may delete nothing by itself.

alter table dsar.hold
    add column people bigint not null default 0,
    add column identifiers bigint not null default 0,
    add constraint hold_counts_are_not_negative check (people >= 0 and identifiers >= 0);
grant update (people) on dsar.hold to mahrem_app;

-- +goose StatementBegin
-- forget_held deletes whom a hold bound, once it is released.
create function dsar.forget_held(hold uuid) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from dsar.hold h where h.hold_id = hold and h.released_at is not null) then
        raise exception 'the hold is in force' using errcode = 'insufficient_privilege';
    end if;
    delete from dsar.hold_person p where p.hold_id = hold;
    delete from dsar.hold_identifier i where i.hold_id = hold;
end
$$;
-- +goose StatementEnd
revoke execute on function dsar.forget_held(uuid) from public;
grant execute on function dsar.forget_held(uuid) to mahrem_app;

-- When somebody is looked at again. The time is never further away than a month, so it says
-- little about how old anything is.
create table dsar.retention_mark (
    data_subject_id uuid not null,
    due_at timestamptz not null,
    constraint retention_mark_pkey primary key (data_subject_id),
    constraint retention_mark_has_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade
);
grant select, insert, update (due_at) on dsar.retention_mark to mahrem_app;

-- The runs of the periodic destruction, and what each destroyed and held back, by counts.
create table dsar.retention_run (
    run_id uuid not null,
    policy bytea not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    people bigint not null default 0,
    constraint retention_run_pkey primary key (run_id),
    constraint retention_run_policy_has_its_length check (octet_length(policy) = 32),
    constraint retention_run_ends_after_it_began check (finished_at >= started_at)
);
create index retention_run_started_at on dsar.retention_run (started_at);
grant select, insert, update (finished_at, people) on dsar.retention_run to mahrem_app;

create table dsar.retention_count (
    run_id uuid not null,
    -- values, events, or a kind of rows
    what text not null,
    category text not null default '',
    destroyed bigint not null,
    held bigint not null,
    constraint retention_count_pkey primary key (run_id, what, category),
    constraint retention_count_is_of_a_run foreign key (run_id) references dsar.retention_run (run_id),
    constraint retention_count_what_is_a_key check (what ~ '^[a-z][a-z_]{0,63}$'),
    constraint retention_count_category_is_a_key check (category ~ '^([a-z][a-z0-9_.]{0,63})?$'),
    constraint retention_count_is_not_negative check (destroyed >= 0 and held >= 0)
);
grant select, insert, update (destroyed, held) on dsar.retention_count to mahrem_app;

-- Reports of the periodic destruction as they were signed.
create table dsar.retention_report (
    report_id uuid not null,
    from_at timestamptz not null,
    to_at timestamptz not null,
    note bytea not null,
    constraint retention_report_pkey primary key (report_id),
    constraint retention_report_ends_after_it_began check (to_at > from_at),
    constraint retention_report_note_is_bounded check (octet_length(note) between 1 and 1048576)
);
create index retention_report_to_at on dsar.retention_report (to_at);
grant select, insert on dsar.retention_report to mahrem_app;

-- +goose StatementBegin
-- drop_expired deletes sealed records and chunks of events in which nothing is left that
-- may be kept, if they still are as the caller saw them. It refuses whoever is under a hold
-- on everything: the caller, who knows what a narrower hold covers, has locked the people's
-- rows and looked.
create function vault.drop_expired(
    record_people uuid[], record_slots bytea[], record_versions bigint[],
    chunk_people uuid[], chunk_slots bytea[], chunk_numbers bigint[], chunk_versions bigint[],
    out records bigint, out chunks bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from (select unnest(record_people) as person union select unnest(chunk_people)) q
        cross join lateral dsar.holds_on(q.person) h
        where h.scope is null) then
        raise exception 'somebody is under a legal hold' using errcode = '40001';
    end if;
    delete from vault.sealed_record r
    using unnest(record_people, record_slots, record_versions) as q (person, slot, record_version)
    where r.data_subject_id = q.person and r.slot = q.slot and r.record_version = q.record_version;
    get diagnostics records = row_count;
    delete from vault.event_chunk c
    using unnest(chunk_people, chunk_slots, chunk_numbers, chunk_versions) as q (person, slot, chunk, record_version)
    where c.data_subject_id = q.person and c.slot = q.slot and c.chunk = q.chunk and c.record_version = q.record_version;
    get diagnostics chunks = row_count;
    update gate.profile p
    set changed = p.changed + 1, fresh_until = '-infinity'
    where p.data_subject_id = any (record_people || chunk_people);
end
$$;
-- +goose StatementEnd
revoke execute on function vault.drop_expired(uuid[], bytea[], bigint[], uuid[], bytea[], bigint[], bigint[]) from public;
grant execute on function vault.drop_expired(uuid[], bytea[], bigint[], uuid[], bytea[], bigint[], bigint[]) to mahrem_app;

-- +goose StatementBegin
-- drop_old_rows deletes at most max_rows rows of a kind that are older than a moment, and
-- never any of the last month. Rows of whoever is under a hold on everything stay and are
-- counted. The people's rows are locked first, as whoever sets a hold does.
create function dsar.drop_old_rows(kind text, before timestamptz, max_rows integer, out destroyed bigint, out held bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    budget integer := least(greatest(max_rows, 1), 10000);
    people uuid[];
    keep uuid[];
    requests uuid[];
begin
    destroyed := 0;
    held := 0;
    if before > clock_timestamp() - interval '28 days' then
        raise exception 'rows of the last month are kept' using errcode = 'invalid_parameter_value';
    end if;
    if kind = 'ended_case' or kind = 'exposure' then
        -- A hold that is set later than this look finds the person locked.
        if kind = 'ended_case' then
            select array_agg(distinct q.person) into people from (
                select c.data_subject_id as person from gate.case_file c
                where least(c.closed_at, c.ends_at) < before
                  and not exists (select from dsar.holds_on(c.data_subject_id) h where h.scope is null)
                limit budget) q;
        else
            select array_agg(distinct q.person) into people from (
                select x.data_subject_id as person from gate.exposure x
                where x.released_at < before
                  and not exists (select from dsar.holds_on(x.data_subject_id) h where h.scope is null)
                limit budget) q;
        end if;
        perform from vault.data_subject d where d.data_subject_id = any (people) order by d.data_subject_id for no key update;
        select coalesce(array_agg(distinct q.person), '{}') into keep
        from unnest(people) as q (person) cross join lateral dsar.holds_on(q.person) h
        where h.scope is null;
        if kind = 'ended_case' then
            delete from gate.case_file c
            where c.data_subject_id = any (people) and not c.data_subject_id = any (keep)
              and least(c.closed_at, c.ends_at) < before;
            get diagnostics destroyed = row_count;
            if destroyed = 0 then
                select count(*) into held from gate.case_file c where least(c.closed_at, c.ends_at) < before;
            end if;
        else
            delete from gate.exposure x
            where x.data_subject_id = any (people) and not x.data_subject_id = any (keep) and x.released_at < before;
            get diagnostics destroyed = row_count;
            if destroyed = 0 then
                select count(*) into held from gate.exposure x where x.released_at < before;
            end if;
        end if;
    elsif kind = 'closed_request' or kind = 'request_contents' then
        select array_agg(q.request_id) into requests from (
            select r.request_id from dsar.request r
            where r.closed_at < before
              and (drop_old_rows.kind = 'closed_request' or exists (select from keyring.request_key k where k.request_id = r.request_id))
              and not exists (select from dsar.holds_on(r.data_subject_id) h where h.scope is null)
            order by r.closed_at
            limit budget
            for update of r) q;
        perform from vault.data_subject d
        where d.data_subject_id in (select r.data_subject_id from dsar.request r where r.request_id = any (requests))
        order by d.data_subject_id for no key update;
        select coalesce(array_agg(r.request_id), '{}') into keep
        from dsar.request r cross join lateral dsar.holds_on(r.data_subject_id) h
        where r.request_id = any (requests) and h.scope is null;
        delete from keyring.request_key k where k.request_id = any (requests) and not k.request_id = any (keep);
        get diagnostics destroyed = row_count;
        if kind = 'closed_request' then
            delete from dsar.request r where r.request_id = any (requests) and not r.request_id = any (keep);
            get diagnostics destroyed = row_count;
        end if;
        if destroyed = 0 then
            select count(*) into held from dsar.request r
            where r.closed_at < before
              and (drop_old_rows.kind = 'closed_request' or exists (select from keyring.request_key k where k.request_id = r.request_id));
        end if;
    elsif kind = 'people_count' then
        delete from archive.people p
        using (select g.policy, g.facts, g.day, g.part from archive.people g where g.day < before::date limit budget) old
        where p.policy = old.policy and p.facts = old.facts and p.day = old.day and p.part = old.part;
        get diagnostics destroyed = row_count;
    else
        raise exception 'no rows are of this kind' using errcode = 'invalid_parameter_value';
    end if;
end
$$;
-- +goose StatementEnd
revoke execute on function dsar.drop_old_rows(text, timestamptz, integer) from public;
grant execute on function dsar.drop_old_rows(text, timestamptz, integer) to mahrem_app;
create index case_file_ends_at on gate.case_file (least(closed_at, ends_at));
create index exposure_released_at on gate.exposure (released_at);
create index people_day on archive.people (day);
