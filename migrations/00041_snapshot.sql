-- +goose Up
-- The people of a room, as groups see them: numbers without names. What a party has prepared
-- is staged; a match gives everybody in the room a random number, turns staged rows into facts
-- under these numbers, and forgets the tokens by which it matched. Nothing in here leads from
-- a person to a fact: that somebody is in a snapshot stands in presence, and where they sit in
-- it only whoever has the room key can tell.

create table cleanroom.snapshot (
    snapshot_id bigint generated always as identity,
    room_id text not null,
    owner text not null,
    dataset text not null,
    contract_version integer not null,
    manifest_digest bytea not null,
    -- Of which match it is a part, or is to be.
    epoch integer not null,
    state text not null,
    -- How many there are, as its owner says; not how many were found in common.
    members bigint not null,
    rows bigint not null,
    begun_at timestamptz not null,
    admitted_at timestamptz,
    matched_at timestamptz,
    dropped_at timestamptz,
    constraint snapshot_pkey primary key (snapshot_id),
    constraint snapshot_is_of_a_room foreign key (room_id, owner, dataset) references cleanroom.room_dataset (room_id, owner, dataset),
    constraint snapshot_has_a_contract foreign key (owner, dataset, contract_version) references cleanroom.contract (owner, dataset, version),
    constraint snapshot_manifest_is_a_sha256 check (octet_length(manifest_digest) = 32),
    constraint snapshot_epoch_counts_from_one check (epoch >= 1),
    constraint snapshot_state_is_known check (state in ('loading', 'staged', 'matched', 'dropped')),
    constraint snapshot_sizes_are_no_debts check (members >= 0 and rows >= 0),
    constraint snapshot_is_staged_when_admitted check (state not in ('staged', 'matched') or admitted_at is not null),
    constraint snapshot_is_matched_with_a_time check (state <> 'matched' or matched_at is not null),
    constraint snapshot_is_dropped_with_a_time check ((state = 'dropped') = (dropped_at is not null))
);
create unique index snapshot_loads_once on cleanroom.snapshot (room_id, owner, dataset) where state = 'loading';
create unique index snapshot_is_staged_once on cleanroom.snapshot (room_id, owner, dataset) where state = 'staged';
create unique index snapshot_is_matched_once on cleanroom.snapshot (room_id, owner, dataset) where state = 'matched';
create index snapshot_of_a_room on cleanroom.snapshot (room_id, epoch);
grant select, insert, update (state, members, rows, admitted_at, matched_at, dropped_at) on cleanroom.snapshot to mahrem_app;

-- Who is to be matched: a token that is equal to another one if the person is, and, for the
-- house's own people, their seat. Ordinals are random: they tie rows to members and say
-- nothing. One partition a snapshot, so that dropping one takes its pages off the disk.
create table cleanroom.staged_member (
    snapshot_id bigint not null,
    ordinal bigint not null,
    token bytea not null,
    seat bytea,
    constraint staged_member_pkey primary key (snapshot_id, ordinal),
    constraint staged_member_token_is_bounded check (octet_length(token) between 16 and 64),
    constraint staged_member_seat_has_a_length check (octet_length(seat) = 16)
) partition by list (snapshot_id);
grant select, insert on cleanroom.staged_member to mahrem_app;

-- d1 to d8 are places in declared domains, and days from 1970-01-01; m1 to m4 are measures.
-- What the contract has no column for is null.
create table cleanroom.staged_row (
    snapshot_id bigint not null,
    ordinal bigint not null,
    d1 integer, d2 integer, d3 integer, d4 integer, d5 integer, d6 integer, d7 integer, d8 integer,
    m1 bigint, m2 bigint, m3 bigint, m4 bigint
) partition by list (snapshot_id);
grant select, insert on cleanroom.staged_row to mahrem_app;

-- What questions are about. Nobody may read it but through a view of cleanroom_read.
create table cleanroom.fact (
    snapshot_id bigint not null,
    match_id bigint not null,
    d1 integer, d2 integer, d3 integer, d4 integer, d5 integer, d6 integer, d7 integer, d8 integer,
    m1 bigint, m2 bigint, m3 bigint, m4 bigint
) partition by list (snapshot_id);
-- Facts lie in the order of their numbers, so that a small index finds whoever leaves.
create index fact_of_match on cleanroom.fact using brin (match_id) with (pages_per_range = 16);

-- Where the house's own people sit. A seat is a keyed hash of snapshot and person.
create table cleanroom.seat (
    snapshot_id bigint not null,
    seat bytea not null,
    match_id bigint not null,
    constraint seat_pkey primary key (snapshot_id, seat),
    constraint seat_has_a_length check (octet_length(seat) = 16)
) partition by list (snapshot_id);

-- That somebody is in a snapshot, and for which purpose they had agreed to it.
create table cleanroom.presence (
    data_subject_id uuid not null,
    snapshot_id bigint not null,
    purpose text not null,
    constraint presence_pkey primary key (data_subject_id, snapshot_id),
    constraint presence_is_of_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade,
    constraint presence_is_in_a_snapshot foreign key (snapshot_id) references cleanroom.snapshot (snapshot_id),
    constraint presence_purpose_is_a_word check (purpose ~ '^[a-z0-9][a-z0-9._-]{0,63}$')
);
create index presence_in_snapshot on cleanroom.presence (snapshot_id);
create trigger refuse_erasing after insert on cleanroom.presence
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
grant select, insert on cleanroom.presence to mahrem_app;

-- mahrem_room is what a question is computed as: it sees views of the facts, and each of
-- them only while the transaction says that it is about that view's room.
-- +goose StatementBegin
do $$
begin
    if not exists (select from pg_roles where rolname = 'mahrem_room') then
        create role mahrem_room nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
do $$
begin
    if not pg_has_role('mahrem_app', 'mahrem_room', 'member') then
        grant mahrem_room to mahrem_app;
    end if;
exception
    -- Somebody else made the role, and so it is for them to say; or says it just now.
    when insufficient_privilege or duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
create schema cleanroom_read;
grant usage on schema cleanroom_read to mahrem_room;

-- +goose StatementBegin
-- add_staging makes room for the members and rows of a snapshot that is being loaded.
create function cleanroom.add_staging(snapshot bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'loading' for update;
    if not found then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('create table cleanroom.staged_member_%s (like cleanroom.staged_member including constraints)', snapshot);
    execute format('alter table cleanroom.staged_member attach partition cleanroom.staged_member_%s for values in (%s)', snapshot, snapshot);
    execute format('create table cleanroom.staged_row_%s (like cleanroom.staged_row)', snapshot);
    execute format('alter table cleanroom.staged_row attach partition cleanroom.staged_row_%s for values in (%s)', snapshot, snapshot);
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.add_staging(bigint) from public;
grant execute on function cleanroom.add_staging(bigint) to mahrem_app;

-- +goose StatementBegin
-- index_staging makes whoever is staged easy to find, once all of them are there. Tokens
-- that come twice are refused here.
create function cleanroom.index_staging(snapshot bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    execute format('create unique index on cleanroom.staged_member_%s (token)', snapshot);
    execute format('create unique index on cleanroom.staged_member_%s (seat) where seat is not null', snapshot);
    execute format('create index on cleanroom.staged_row_%s (ordinal)', snapshot);
    execute format('analyze cleanroom.staged_member_%s, cleanroom.staged_row_%s', snapshot, snapshot);
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.index_staging(bigint) from public;
grant execute on function cleanroom.index_staging(bigint) to mahrem_app;

-- +goose StatementBegin
-- settle makes facts of staged rows, under the numbers that the members were given. Nobody
-- sees them before seal.
create function cleanroom.settle(snapshot bigint, ordinals bigint[], match_ids bigint[]) returns void
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_seqscan = on set work_mem = '256MB' as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'staged';
    if not found then
        raise exception 'the snapshot is not staged' using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('create table cleanroom.fact_%s (like cleanroom.fact, constraint fact_%s_is_of_one_snapshot check (snapshot_id = %s))',
        snapshot, snapshot, snapshot);
    execute format('insert into cleanroom.fact_%s (snapshot_id, match_id, d1, d2, d3, d4, d5, d6, d7, d8, m1, m2, m3, m4)
        select %s, a.match_id, r.d1, r.d2, r.d3, r.d4, r.d5, r.d6, r.d7, r.d8, r.m1, r.m2, r.m3, r.m4
        from cleanroom.staged_row_%s r join unnest($1, $2) as a (ordinal, match_id) on a.ordinal = r.ordinal
        order by a.match_id', snapshot, snapshot, snapshot) using ordinals, match_ids;
    execute format('create index on cleanroom.fact_%s using brin (match_id) with (pages_per_range = 16)', snapshot);
    execute format('analyze cleanroom.fact_%s', snapshot);
    execute format('create table cleanroom.seat_%s (like cleanroom.seat including constraints, constraint seat_%s_is_of_one_snapshot check (snapshot_id = %s))',
        snapshot, snapshot, snapshot);
    execute format('insert into cleanroom.seat_%s (snapshot_id, seat, match_id)
        select %s, m.seat, a.match_id
        from cleanroom.staged_member_%s m join unnest($1, $2) as a (ordinal, match_id) on a.ordinal = m.ordinal
        where m.seat is not null
        order by m.seat', snapshot, snapshot, snapshot) using ordinals, match_ids;
    execute format('alter table cleanroom.seat_%s add primary key (snapshot_id, seat)', snapshot);
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.settle(bigint, bigint[], bigint[]) from public;
grant execute on function cleanroom.settle(bigint, bigint[], bigint[]) to mahrem_app;

-- +goose StatementBegin
-- seal ends what settle began: whoever left meanwhile is taken out, tokens are dropped, and
-- the facts can be asked about.
create function cleanroom.seal(snapshot bigint) returns void
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
    execute format('create view cleanroom_read.fact_%s with (security_barrier) as
        select f.match_id, f.d1, f.d2, f.d3, f.d4, f.d5, f.d6, f.d7, f.d8, f.m1, f.m2, f.m3, f.m4
        from cleanroom.fact_%s f where current_setting(''mahrem.room'', true) = %L', snapshot, snapshot, room);
    execute format('create view cleanroom_read.seat_%s with (security_barrier) as
        select s.match_id, s.seat
        from cleanroom.seat_%s s where current_setting(''mahrem.room'', true) = %L', snapshot, snapshot, room);
    execute format('grant select on cleanroom_read.fact_%s, cleanroom_read.seat_%s to mahrem_room', snapshot, snapshot);
    execute format('drop table cleanroom.staged_member_%s, cleanroom.staged_row_%s', snapshot, snapshot);
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.seal(bigint) from public;
grant execute on function cleanroom.seal(bigint) to mahrem_app;

-- +goose StatementBegin
-- drop_snapshot takes away all rows of a snapshot, whatever it has got to. Its own row stays.
create function cleanroom.drop_snapshot(snapshot bigint) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot for update;
    execute format('drop view if exists cleanroom_read.fact_%s, cleanroom_read.seat_%s', snapshot, snapshot);
    execute format('drop table if exists cleanroom.staged_member_%s, cleanroom.staged_row_%s, cleanroom.fact_%s, cleanroom.seat_%s',
        snapshot, snapshot, snapshot, snapshot);
    delete from cleanroom.presence p where p.snapshot_id = snapshot;
    update cleanroom.snapshot s
    set state = 'dropped', dropped_at = clock_timestamp()
    where s.snapshot_id = snapshot and s.state <> 'dropped';
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.drop_snapshot(bigint) from public;
grant execute on function cleanroom.drop_snapshot(bigint) to mahrem_app;

-- +goose StatementBegin
-- leave takes a person out of snapshots; seats are theirs in each of them. It may be called
-- again. A match that is about to end is waited for.
create function cleanroom.leave(person uuid, snapshots bigint[], seats bytea[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    gone bigint;
begin
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
revoke all on function cleanroom.leave(uuid, bigint[], bytea[]) from public;
grant execute on function cleanroom.leave(uuid, bigint[], bytea[]) to mahrem_app;
