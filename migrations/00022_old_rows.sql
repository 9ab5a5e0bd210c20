-- +goose Up
-- The function of the periodic destruction that deletes old rows, with its parameter told
-- apart from the column of requests of the same name.

-- +goose StatementBegin
-- drop_old_rows deletes at most max_rows rows of a kind that are older than a moment, and
-- never any of the last month. Rows of whoever is under a hold on everything stay and are
-- counted. The people's rows are locked first, as whoever sets a hold does.
create or replace function dsar.drop_old_rows(kind text, before timestamptz, max_rows integer, out destroyed bigint, out held bigint)
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
