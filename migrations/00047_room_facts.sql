-- +goose Up
-- How facts are walked and how a match ends. The views of a room depend on nothing but the
-- transaction's own setting, which is looked at once, before the table is: so the planner may
-- know what is in the table, and still nothing can be asked of another room's.

-- Sums are bounded by what a row may hold, so they need no larger numbers on the way.
create aggregate cleanroom_read.total(bigint) (
    sfunc = int8pl, stype = bigint, initcond = '0', combinefunc = int8pl, parallel = safe
);
revoke all on function cleanroom_read.total(bigint) from public;
grant execute on function cleanroom_read.total(bigint) to mahrem_room;

drop index cleanroom.fact_of_match;
create index fact_of_match on cleanroom.fact (match_id);

-- +goose StatementBegin
create or replace function cleanroom.settle(snapshot bigint, ordinals bigint[], match_ids bigint[]) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_seqscan = on set work_mem = '256MB' as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'staged';
    if not found then
        raise exception 'the snapshot is not staged' using errcode = 'object_not_in_prerequisite_state';
    end if;
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
    execute format('create table cleanroom.seat_%s (like cleanroom.seat including constraints, constraint seat_%s_is_of_one_snapshot check (snapshot_id = %s))',
        snapshot, snapshot, snapshot);
    execute format('insert into cleanroom.seat_%s (snapshot_id, seat, match_id)
        select %s, m.seat, a.match_id
        from cleanroom.staged_member_%s m join unnest($1, $2) as a (ordinal, match_id) on a.ordinal = m.ordinal
        where m.seat is not null
        order by m.seat', snapshot, snapshot, snapshot) using ordinals, match_ids;
    execute format('alter table cleanroom.seat_%s add primary key (snapshot_id, seat)', snapshot);
    execute format('analyze cleanroom.seat_%s', snapshot);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- hold takes what seal and drop_snapshot need for these snapshots, all of it or, after a
-- second, nothing: whoever leaves a room must not wait behind a question that is being
-- computed. Tables come first and rows after them, as in leave.
create function cleanroom.hold(snapshots bigint[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
    name text;
begin
    lock table cleanroom.staged_member, cleanroom.staged_row, cleanroom.seat, cleanroom.fact in access exclusive mode;
    for name in
        select k.kind || '_' || s.snapshot_id
        from unnest(snapshots) as s (snapshot_id), unnest(array['fact', 'seat']) as k (kind)
        where to_regclass('cleanroom_read.' || k.kind || '_' || s.snapshot_id) is not null
        order by s.snapshot_id, k.kind
    loop
        -- The view and then what it shows, as a question takes them.
        execute format('lock table cleanroom_read.%I in access exclusive mode', name);
    end loop;
    perform from cleanroom.snapshot s where s.snapshot_id = any (snapshots) order by s.snapshot_id for update;
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.hold(bigint[]) from public;
grant execute on function cleanroom.hold(bigint[]) to mahrem_app;

-- +goose StatementBegin
create or replace function cleanroom.seal(snapshot bigint) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_seqscan = on set work_mem = '64MB' as $$
declare
    room text;
begin
    -- Whoever leaves from here on waits, and then finds their seat.
    select s.room_id into room from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'staged' for update;
    if not found then
        raise exception 'the snapshot is not staged' using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('with gone as (
            delete from cleanroom.seat_%s s
            where not exists (select from cleanroom.staged_member_%s m where m.seat = s.seat)
            returning s.match_id)
        delete from cleanroom.fact_%s f using gone g where f.match_id = g.match_id', snapshot, snapshot, snapshot);
    execute format('alter table cleanroom.fact attach partition cleanroom.fact_%s for values in (%s)', snapshot, snapshot);
    execute format('alter table cleanroom.seat attach partition cleanroom.seat_%s for values in (%s)', snapshot, snapshot);
    execute format('create view cleanroom_read.fact_%s as
        select f.match_id, f.d1, f.d2, f.d3, f.d4, f.d5, f.d6, f.d7, f.d8, f.m1, f.m2, f.m3, f.m4
        from cleanroom.fact_%s f where current_setting(''mahrem.room'', true) = %L', snapshot, snapshot, room);
    execute format('create view cleanroom_read.seat_%s as
        select s.match_id, s.seat
        from cleanroom.seat_%s s where current_setting(''mahrem.room'', true) = %L', snapshot, snapshot, room);
    execute format('grant select on cleanroom_read.fact_%s, cleanroom_read.seat_%s to mahrem_room', snapshot, snapshot);
    execute format('drop table cleanroom.staged_member_%s, cleanroom.staged_row_%s', snapshot, snapshot);
    update cleanroom.snapshot s
    set state = 'matched', matched_at = clock_timestamp()
    where s.snapshot_id = snapshot;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function cleanroom.leave(person uuid, snapshots bigint[], seats bytea[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
begin
    lock table cleanroom.staged_member, cleanroom.staged_row, cleanroom.seat, cleanroom.fact in row exclusive mode;
    perform from cleanroom.snapshot s where s.snapshot_id = any (snapshots) order by s.snapshot_id for share;
    for i in 1 .. coalesce(cardinality(snapshots), 0) loop
        delete from cleanroom.staged_member m where m.snapshot_id = snapshots[i] and m.seat = seats[i] returning m.ordinal into gone;
        if found then
            delete from cleanroom.staged_row r where r.snapshot_id = snapshots[i] and r.ordinal = gone;
        end if;
        delete from cleanroom.seat s where s.snapshot_id = snapshots[i] and s.seat = seats[i] returning s.match_id into gone;
        if found then
            delete from cleanroom.fact f where f.snapshot_id = snapshots[i] and f.match_id = gone;
        end if;
    end loop;
    delete from cleanroom.presence p where p.data_subject_id = person and p.snapshot_id = any (snapshots);
end
$$;
-- +goose StatementEnd
