-- +goose Up
-- What goes through old entries does so without regular expressions, which took a minute
-- for a partition.

-- +goose StatementBegin
-- collect_erase_tags copies the tags of erased people out of the next entries of the log, at
-- most so many, and says up to which index that is done. Nobody else can add to them.
create or replace function audit.collect_erase_tags(max_entries bigint, out up_to bigint, out size bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    start bigint;
begin
    start := greatest(
        coalesce((select s.up_to from audit.erase_scan s order by s.up_to desc limit 1), 0),
        coalesce((select p.begin_index from audit.pruned p order by p.begin_index desc limit 1), 0));
    size := coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0);
    up_to := least(size, start + greatest(max_entries, 0));
    if up_to <= start then
        up_to := greatest(start, up_to);
        return;
    end if;
    -- A leaf is compact JSON with its fields in a fixed order, so that looking for bytes finds
    -- what parsing would, at a thousandth of the time. No word in it has a quotation mark.
    with erased as materialized (
        select e.leaf, position('\x2c2273223a22'::bytea in e.leaf) as tag_at -- ,"s":"
        from audit.entry e
        where e.seq >= start and e.seq < collect_erase_tags.up_to
            and position('\x2c226b223a22706572736f6e2e657261736564222c'::bytea in substring(e.leaf from 36 for 64)) > 0 -- ,"k":"person.erased",
    )
    insert into audit.erase_tag (tag)
    select decode(translate(convert_from(substring(f.leaf from f.tag_at + 6 for 43), 'UTF8'), '-_', '+/') || '=', 'base64')
    from erased f where f.tag_at > 0
    on conflict do nothing;
    insert into audit.erase_scan (up_to) values (collect_erase_tags.up_to) on conflict do nothing;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- prune drops the oldest partition: its entries and the tiles of their hashes. It refuses
-- unless a written policy allows it, an archive has it, and a signed checkpoint covers it. The
-- caller commits it together with the entry log.pruned. A reader of the log in the way is
-- waited for a moment only, because appends wait too; the caller tries again.
create or replace function audit.prune(out begin_index bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '300ms' as $$
declare
    first bigint := coalesce((select p.begin_index from audit.pruned p order by p.begin_index desc limit 1), 0);
    ending bigint := first + 1048576;
    written record;
    copy bytea;
    newest bigint;
    collected bigint;
begin
    select r.keep, r.cosignatures, r.digest into written from audit.retention r order by r.number desc limit 1;
    if not found then
        raise exception 'there is no written policy on old entries' using errcode = 'object_not_in_prerequisite_state';
    end if;
    select a.manifest into copy from audit.archived a where a.end_index = ending order by a.archived_at desc limit 1;
    if not found then
        raise exception 'the entries below % were not archived', ending using errcode = 'object_not_in_prerequisite_state';
    end if;
    if not exists (
        select from audit.checkpoint c
        where c.size >= ending
            and (select count(*) from audit.cosignature s where s.size = c.size) >= written.cosignatures) then
        raise exception 'no checkpoint with % cosignatures covers the entries below %', written.cosignatures, ending
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    -- The time stands behind {"v":1,"id":"…","t": and ends with a comma.
    select max(convert_from(substring(e.leaf from 42 for position('\x2c'::bytea in substring(e.leaf from 42 for 20)) - 1), 'UTF8')::bigint)
    into newest from audit.entry e where e.seq >= first and e.seq < ending;
    if newest is null or to_timestamp(newest / 1000.0) + written.keep > clock_timestamp() then
        raise exception 'some entries below % are younger than the policy allows to drop', ending
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    loop
        select c.up_to into collected from audit.collect_erase_tags(1048576) c;
        exit when collected >= ending;
    end loop;
    insert into audit.kept_tile (n, hashes)
    select t.n, t.hashes from audit.tile0 t
    where t.n >= first / 256 and t.n < ending / 256
        and t.n in (
            select c.size / 256 from audit.checkpoint c
            where c.size > first and c.size < ending and c.size % 256 <> 0);
    -- From here on nobody appends. Whoever does so locks in the same order.
    perform pg_advisory_xact_lock(7881695663412281345); -- "mahrem", 1
    execute format('alter table audit.entry detach partition audit.%I', format('entry_p%s', first / 1048576));
    execute format('alter table audit.tile0 detach partition audit.%I', format('tile0_p%s', first / 1048576));
    execute format('drop table audit.%I', format('entry_p%s', first / 1048576));
    execute format('drop table audit.%I', format('tile0_p%s', first / 1048576));
    insert into audit.pruned (begin_index, manifest, policy) values (ending, copy, written.digest);
    begin_index := ending;
end
$$;
-- +goose StatementEnd
