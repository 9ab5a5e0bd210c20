-- +goose Up
-- All lists of a match are of one kind of identifier; and the house's own people can be staged
-- before their tokens are there: in pair mode these come back from the other party, in oprf
-- mode they are made when it is known how many there are.

alter table cleanroom.snapshot add column identifier text;
alter table cleanroom.snapshot add constraint snapshot_identifier_is_known
    check (identifier in ('email', 'phone', 'customer_number'));

-- Where somebody stands on the list that the other party gets, counted from 0. Whoever leaves
-- leaves a gap.
alter table cleanroom.staged_member add column place integer;
alter table cleanroom.staged_member add constraint staged_member_place_counts_from_zero check (place >= 0);

-- +goose StatementBegin
-- place_members puts those who are staged by now into the order of their numbers, which were
-- drawn, and returns these numbers in that order. Where a row is stored tells from then on
-- nothing of when it came.
create function cleanroom.place_members(snapshot bigint) returns setof bigint
    language plpgsql security definer
    set search_path = pg_catalog, pg_temp set enable_nestloop = off set enable_seqscan = on set work_mem = '64MB' as $$
begin
    if to_regclass('cleanroom.staged_member_' || snapshot) is null then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    -- Tables come first and rows after them, as in leave, which waits here.
    execute format('lock table cleanroom.staged_member_%s, cleanroom.staged_row_%s in access exclusive mode', snapshot, snapshot);
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'loading' for update;
    if not found then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('update cleanroom.staged_member_%s m set place = n.place
        from (select o.ordinal, row_number() over (order by o.ordinal) - 1 as place from cleanroom.staged_member_%s o) n
        where n.ordinal = m.ordinal', snapshot, snapshot);
    execute format('create unique index staged_member_%s_place on cleanroom.staged_member_%s (place)', snapshot, snapshot);
    execute format('create index on cleanroom.staged_member_%s (seat)', snapshot);
    execute format('create index staged_row_%s_place on cleanroom.staged_row_%s (ordinal)', snapshot, snapshot);
    execute format('cluster cleanroom.staged_member_%s using staged_member_%s_place', snapshot, snapshot);
    execute format('cluster cleanroom.staged_row_%s using staged_row_%s_place', snapshot, snapshot);
    execute format('analyze cleanroom.staged_member_%s, cleanroom.staged_row_%s', snapshot, snapshot);
    return query execute format('select m.ordinal from cleanroom.staged_member_%s m order by m.place', snapshot);
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.place_members(bigint) from public;
grant execute on function cleanroom.place_members(bigint) to mahrem_app;

-- +goose StatementBegin
-- set_tokens gives tokens to those who still are at these places. Whoever leaves waits until it
-- has, and is gone then.
create function cleanroom.set_tokens(snapshot bigint, places integer[], tokens bytea[]) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'loading' for update;
    if not found then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    update cleanroom.staged_member m
    set token = q.token
    from unnest(places, tokens) as q (place, token)
    where m.snapshot_id = snapshot and m.place = q.place;
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.set_tokens(bigint, integer[], bytea[]) from public;
grant execute on function cleanroom.set_tokens(bigint, integer[], bytea[]) to mahrem_app;

-- +goose StatementBegin
-- hand_over names the list under which a snapshot whose members have places is known to the
-- other party.
create function cleanroom.hand_over(snapshot bigint, manifest bytea) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update cleanroom.snapshot s
    set manifest_digest = manifest
    where s.snapshot_id = snapshot and s.state = 'loading'
        and exists (select from cleanroom.staged_member m where m.snapshot_id = snapshot and m.place is not null);
    if not found then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.hand_over(bigint, bytea) from public;
grant execute on function cleanroom.hand_over(bigint, bytea) to mahrem_app;
