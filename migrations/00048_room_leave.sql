-- +goose Up
-- Who leaves while a match is under way, and what the order of stored rows tells.

-- +goose StatementBegin
-- settle makes facts of staged rows, and seats before them: each statement sees who has left by
-- then, and of facts without a seat nobody would find whose they are.
create or replace function cleanroom.settle(snapshot bigint, ordinals bigint[], match_ids bigint[]) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_seqscan = on set work_mem = '256MB' as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'staged';
    if not found then
        raise exception 'the snapshot is not staged' using errcode = 'object_not_in_prerequisite_state';
    end if;
    -- Seats come first: whoever leaves after this statement has one, which seal finds empty.
    execute format('create table cleanroom.seat_%s (like cleanroom.seat including constraints, constraint seat_%s_is_of_one_snapshot check (snapshot_id = %s))',
        snapshot, snapshot, snapshot);
    execute format('insert into cleanroom.seat_%s (snapshot_id, seat, match_id)
        select %s, m.seat, a.match_id
        from cleanroom.staged_member_%s m join unnest($1, $2) as a (ordinal, match_id) on a.ordinal = m.ordinal
        where m.seat is not null
        order by m.seat', snapshot, snapshot, snapshot) using ordinals, match_ids;
    execute format('alter table cleanroom.seat_%s add primary key (snapshot_id, seat)', snapshot);
    execute format('analyze cleanroom.seat_%s', snapshot);
    execute format('create table cleanroom.fact_%s (like cleanroom.fact, constraint fact_%s_is_of_one_snapshot check (snapshot_id = %s))',
        snapshot, snapshot, snapshot);
    -- Persons are not spread evenly over the pages, which makes guesses from samples wrong.
    execute format('alter table cleanroom.fact_%s alter column match_id set (n_distinct = %s)', snapshot, greatest(cardinality(match_ids), 1));
    -- In the order of the numbers: where a row lies says nothing of where it came from.
    execute format('insert into cleanroom.fact_%s (snapshot_id, match_id, d1, d2, d3, d4, d5, d6, d7, d8, m1, m2, m3, m4)
        select %s, a.match_id, r.d1, r.d2, r.d3, r.d4, r.d5, r.d6, r.d7, r.d8, r.m1, r.m2, r.m3, r.m4
        from cleanroom.staged_row_%s r join unnest($1, $2) as a (ordinal, match_id) on a.ordinal = r.ordinal
        order by a.match_id, r.d1, r.d2, r.d3, r.d4, r.d5, r.d6, r.d7, r.d8', snapshot, snapshot, snapshot) using ordinals, match_ids;
    execute format('create index on cleanroom.fact_%s (match_id)', snapshot);
    execute format('analyze cleanroom.fact_%s', snapshot);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- index_staging makes whoever is staged easy to find, once all of them are there. Tokens
-- that come twice are refused here. The house's people come some at a time, in one transaction
-- with that they are present: in the order in which both were stored, one would tell of the
-- other. So members end in the order of their tokens, and rows of their ordinals.
create or replace function cleanroom.index_staging(snapshot bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    execute format('create unique index staged_member_%s_token on cleanroom.staged_member_%s (token)', snapshot, snapshot);
    execute format('create unique index on cleanroom.staged_member_%s (seat) where seat is not null', snapshot);
    execute format('create index staged_row_%s_ordinal on cleanroom.staged_row_%s (ordinal)', snapshot, snapshot);
    if exists (select from cleanroom.presence p where p.snapshot_id = snapshot) then
        execute format('cluster cleanroom.staged_member_%s using staged_member_%s_token', snapshot, snapshot);
        execute format('cluster cleanroom.staged_row_%s using staged_row_%s_ordinal', snapshot, snapshot);
    end if;
    execute format('analyze cleanroom.staged_member_%s, cleanroom.staged_row_%s', snapshot, snapshot);
end
$$;
-- +goose StatementEnd
