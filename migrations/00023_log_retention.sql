-- +goose Up
-- The written policy on old entries, what was archived, and what was dropped. Nothing here
-- leads to a person. Each row commits together with the entry of the log that says so.

-- The policies, newest last. Entries younger than keep are never dropped, and none without
-- a checkpoint above them that so many witnesses have signed.
create table audit.retention (
    digest bytea not null,
    number bigint not null,
    keep interval not null,
    cosignatures integer not null,
    policy text not null,
    set_at timestamptz not null default clock_timestamp(),
    constraint retention_pkey primary key (number),
    constraint retention_counts_from_one check (number >= 1),
    constraint retention_digest_is_of_the_policy check (digest = sha256(convert_to(policy, 'UTF8'))),
    constraint retention_keeps_a_quarter check (keep >= interval '90 days'),
    constraint retention_cosignatures_are_bounded check (cosignatures between 0 and 16),
    constraint retention_policy_has_a_length check (octet_length(policy) between 1 and 65536)
);

-- What was copied out and verified from the copy: all entries below end_index, in the bundle
-- with this manifest, under a checkpoint of this size.
create table audit.archived (
    end_index bigint not null,
    manifest bytea not null,
    checkpoint_size bigint not null,
    archived_at timestamptz not null default clock_timestamp(),
    constraint archived_pkey primary key (end_index, manifest),
    constraint archived_ends_with_a_partition check (end_index > 0 and end_index % 1048576 = 0),
    constraint archived_manifest_has_its_length check (octet_length(manifest) = 32),
    constraint archived_is_under_a_checkpoint foreign key (checkpoint_size) references audit.checkpoint (size),
    constraint archived_checkpoint_covers_it check (checkpoint_size >= end_index)
);

-- What was dropped: the log begins with the largest begin_index.
create table audit.pruned (
    begin_index bigint not null,
    manifest bytea not null,
    policy bytea not null,
    pruned_at timestamptz not null default clock_timestamp(),
    constraint pruned_pkey primary key (begin_index),
    constraint pruned_ends_with_a_partition check (begin_index > 0 and begin_index % 1048576 = 0),
    constraint pruned_was_archived foreign key (begin_index, manifest) references audit.archived (end_index, manifest),
    constraint pruned_policy_has_its_length check (octet_length(policy) = 32)
);

-- Tiles of level 0 that outlive their entries, because a checkpoint ends within them: with
-- them the log proves that it extends every checkpoint that it ever published.
create table audit.kept_tile (
    n bigint not null,
    hashes bytea not null,
    constraint kept_tile_pkey primary key (n),
    constraint kept_tile_counts_from_zero check (n >= 0),
    constraint kept_tile_is_full check (octet_length(hashes) = 8192)
);
alter table audit.kept_tile alter column hashes set storage external;

-- The tags of everybody who was erased, apart from the entries: they must outlive the oldest
-- backup of the people. Without the key that was shredded a tag is 32 random bytes.
create table audit.erase_tag (
    tag bytea not null,
    kept_at timestamptz not null default clock_timestamp(),
    constraint erase_tag_pkey primary key (tag),
    constraint erase_tag_has_its_length check (octet_length(tag) = 32)
);

-- Up to which entry the log was gone through for them.
create table audit.erase_scan (
    up_to bigint not null,
    scanned_at timestamptz not null default clock_timestamp(),
    constraint erase_scan_pkey primary key (up_to),
    constraint erase_scan_is_not_empty check (up_to >= 1)
);

select audit.guard(t) from unnest(array['audit.retention', 'audit.archived', 'audit.pruned', 'audit.kept_tile',
    'audit.erase_tag', 'audit.erase_scan']::regclass[]) as t;
grant select on audit.retention, audit.archived, audit.pruned, audit.kept_tile, audit.erase_tag, audit.erase_scan to mahrem_app;
grant insert (digest, number, keep, cosignatures, policy) on audit.retention to mahrem_app;
grant insert (end_index, manifest, checkpoint_size) on audit.archived to mahrem_app;

-- +goose StatementBegin
-- A signer of its own reads what proofs need.
do $$
begin
    if exists (select from pg_roles where rolname = 'mahrem_signer') then
        grant select on audit.pruned, audit.kept_tile to mahrem_signer;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- require_entry holds a row to its entry: when the transaction commits, the end of the log
-- must have an entry of the kind that is the first argument, whose list is the digest in the
-- column that is the second. Whoever commits has the lock of the log.
create function audit.require_entry() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    digest bytea := decode(substring(to_jsonb(new) ->> tg_argv[1] from 3), 'hex');
    kind bytea := convert_to(format(',"k":"%s",', tg_argv[0]), 'UTF8');
    list bytea := convert_to(format(',"list":"%s"', rtrim(translate(encode(digest, 'base64'), '+/', '-_'), '=')), 'UTF8');
    head bigint := coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0);
begin
    if not exists (
        select from audit.entry e
        where e.seq >= head - 1024 and position(kind in e.leaf) > 0 and position(list in e.leaf) > 0) then
        raise exception 'no entry % for this row of %.%', tg_argv[0], tg_table_schema, tg_table_name
            using errcode = 'integrity_constraint_violation';
    end if;
    return null;
end
$$;
-- +goose StatementEnd
revoke execute on function audit.require_entry() from public;

create constraint trigger retention_has_its_entry after insert on audit.retention
    deferrable initially deferred for each row execute function audit.require_entry('log.retention_set', 'digest');
create constraint trigger archived_has_its_entry after insert on audit.archived
    deferrable initially deferred for each row execute function audit.require_entry('log.archived', 'manifest');
create constraint trigger pruned_has_its_entry after insert on audit.pruned
    deferrable initially deferred for each row execute function audit.require_entry('log.pruned', 'manifest');
alter table audit.retention enable always trigger retention_has_its_entry;
alter table audit.archived enable always trigger archived_has_its_entry;
alter table audit.pruned enable always trigger pruned_has_its_entry;

-- +goose StatementBegin
-- collect_erase_tags copies the tags of erased people out of the next entries of the log, at
-- most so many, and says up to which index that is done. Nobody else can add to them.
create function audit.collect_erase_tags(max_entries bigint, out up_to bigint, out size bigint)
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
    insert into audit.erase_tag (tag)
    select decode(translate(found.tag, '-_', '+/') || '=', 'base64')
    from (
        select substring(convert_from(e.leaf, 'UTF8') from ',"s":"([A-Za-z0-9_-]{43})"') as tag
        from audit.entry e
        where e.seq >= start and e.seq < up_to
            and position(convert_to(',"k":"person.erased",', 'UTF8') in substring(e.leaf from 36 for 64)) > 0) found
    where found.tag is not null
    on conflict do nothing;
    insert into audit.erase_scan (up_to) values (collect_erase_tags.up_to) on conflict do nothing;
end
$$;
-- +goose StatementEnd
revoke execute on function audit.collect_erase_tags(bigint) from public;
grant execute on function audit.collect_erase_tags(bigint) to mahrem_app;

-- +goose StatementBegin
-- prune drops the oldest partition: its entries and the tiles of their hashes. It refuses
-- unless a written policy allows it, an archive has it, and a signed checkpoint covers it. The
-- caller commits it together with the entry log.pruned. A reader of the log in the way is
-- waited for a moment only, because appends wait too; the caller tries again.
create function audit.prune(out begin_index bigint)
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
    select max(substring(convert_from(substring(e.leaf from 36 for 40), 'UTF8') from ',"t":([0-9]{1,15}),')::bigint)
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
revoke execute on function audit.prune() from public;
grant execute on function audit.prune() to mahrem_app;

-- +goose StatementBegin
-- As before, and no room is made again for entries that were dropped.
create or replace function audit.add_partition(k bigint) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    entries text := format('entry_p%s', k);
    tiles text := format('tile0_p%s', k);
    needed bigint := coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0) / 1048576;
    begins bigint := coalesce((select p.begin_index from audit.pruned p order by p.begin_index desc limit 1), 0) / 1048576;
begin
    if k is null or k < 0 or k > needed + 2 then
        raise exception 'partition % is not needed yet', k using errcode = 'invalid_parameter_value';
    end if;
    if k < begins then
        raise exception 'partition % was archived and dropped', k using errcode = 'invalid_parameter_value';
    end if;
    perform pg_advisory_xact_lock(7881695663412281346); -- "mahrem", 2: one at a time
    if to_regclass('audit.' || entries) is not null then
        return false;
    end if;
    execute format('create table audit.%I (like audit.entry including all)', entries);
    execute format('create table audit.%I (like audit.tile0 including all)', tiles);
    execute format('alter table audit.%I alter column hashes set storage external', tiles);
    execute format('alter table audit.entry attach partition audit.%I for values from (%s) to (%s)',
        entries, k * 1048576, (k + 1) * 1048576);
    execute format('alter table audit.tile0 attach partition audit.%I for values from (%s) to (%s)',
        tiles, k * 4096, (k + 1) * 4096);
    perform audit.guard(format('audit.%I', entries)::regclass);
    perform audit.guard(format('audit.%I', tiles)::regclass);
    return true;
end
$$;
-- +goose StatementEnd
