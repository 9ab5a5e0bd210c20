-- +goose Up
-- The transparency log (RFC 6962 hashing, C2SP tlog-tiles shapes). Every table is
-- insert-only: there is no row that each append updates, so a long-running reader
-- (pg_dump, an analyst) cannot make dead versions of it pile up, and nothing that was
-- ever committed has a reason to change. Only full tiles are stored; the unfinished
-- ones follow from entry and subtree.

create schema audit;
grant usage on schema audit to mahrem_app;

-- The entries. Leaf bytes are stored as they were hashed and never serialised again.
-- A partition holds 2^20 entries: 4096 tiles, a complete subtree, so that an old one
-- can be dropped as a whole and later proofs still work.
create table audit.entry (
    seq bigint not null,
    leaf bytea not null,
    leaf_hash bytea not null,
    constraint entry_pkey primary key (seq),
    constraint entry_counts_from_zero check (seq >= 0),
    constraint entry_leaf_has_a_length check (octet_length(leaf) between 1 and 65535),
    constraint entry_leaf_hash_has_its_length check (octet_length(leaf_hash) = 32)
) partition by range (seq);

create table audit.tile0 (
    n bigint not null,
    hashes bytea not null,
    constraint tile0_pkey primary key (n),
    constraint tile0_counts_from_zero check (n >= 0),
    constraint tile0_is_full check (octet_length(hashes) = 8192)
) partition by range (n);

create table audit.tile_hi (
    level smallint not null,
    n bigint not null,
    hashes bytea not null,
    constraint tile_hi_pkey primary key (level, n),
    constraint tile_hi_level_is_above_zero check (level between 1 and 6),
    constraint tile_hi_counts_from_zero check (n >= 0),
    constraint tile_hi_is_full check (octet_length(hashes) = 8192)
);
-- Hashes do not compress; trying only costs time.
alter table audit.tile_hi alter column hashes set storage external;

-- The root of every full tile, kept when the tile itself is dropped.
create table audit.subtree (
    level smallint not null,
    n bigint not null,
    hash bytea not null,
    constraint subtree_pkey primary key (level, n),
    constraint subtree_level_is_known check (level between 0 and 6),
    constraint subtree_counts_from_zero check (n >= 0),
    constraint subtree_hash_has_its_length check (octet_length(hash) = 32)
);

-- One row for each commit: the size of the log after it and the root. The last row is
-- the head of the log.
create table audit.batch (
    size bigint not null,
    root bytea not null,
    constraint batch_pkey primary key (size),
    constraint batch_is_not_empty check (size >= 1),
    constraint batch_root_has_its_length check (octet_length(root) = 32)
);

-- What was signed, as a C2SP signed note.
create table audit.checkpoint (
    size bigint not null,
    root bytea not null,
    signed_at timestamptz not null,
    note bytea not null,
    constraint checkpoint_pkey primary key (size),
    constraint checkpoint_is_not_empty check (size >= 1),
    constraint checkpoint_root_has_its_length check (octet_length(root) = 32),
    constraint checkpoint_note_is_bounded check (octet_length(note) between 1 and 65536)
);

-- What witnesses put under a checkpoint.
create table audit.cosignature (
    size bigint not null,
    key_name text not null,
    line text not null,
    constraint cosignature_pkey primary key (size, key_name),
    constraint cosignature_is_of_a_checkpoint foreign key (size) references audit.checkpoint (size)
);

grant select, insert on audit.entry, audit.tile0, audit.tile_hi, audit.subtree, audit.batch,
    audit.checkpoint, audit.cosignature to mahrem_app;

-- +goose StatementBegin
create function audit.refuse_change() returns trigger
    language plpgsql as $$
begin
    raise exception 'the audit log is insert-only: % on %.% refused', tg_op, tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- guard puts the triggers on one table. ALWAYS, because session_replication_role =
-- replica would skip them otherwise. Partitions inherit the row trigger of their
-- parent, but neither its ALWAYS nor the trigger for TRUNCATE.
create function audit.guard(guarded regclass) returns void
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if not exists (select from pg_trigger where tgrelid = guarded and tgname = 'refuse_row_change') then
        execute format('create trigger refuse_row_change before update or delete on %s '
            'for each row execute function audit.refuse_change()', guarded);
    end if;
    execute format('create trigger refuse_truncate before truncate on %s '
        'for each statement execute function audit.refuse_change()', guarded);
    execute format('alter table %s enable always trigger refuse_row_change', guarded);
    execute format('alter table %s enable always trigger refuse_truncate', guarded);
end
$$;
-- +goose StatementEnd
revoke execute on function audit.guard(regclass) from public;

select audit.guard(t) from unnest(array['audit.entry', 'audit.tile0', 'audit.tile_hi', 'audit.subtree',
    'audit.batch', 'audit.checkpoint', 'audit.cosignature']::regclass[]) as t;

-- +goose StatementBegin
-- add_partition makes room for entries k * 2^20 to (k + 1) * 2^20 - 1, if there is none
-- yet. The application may call it and gets no other right to define anything; it can
-- make at most two partitions more than the log needs. The new tables are attached
-- rather than created in place, which does not lock out appends.
create function audit.add_partition(k bigint) returns boolean
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    entries text := format('entry_p%s', k);
    tiles text := format('tile0_p%s', k);
    needed bigint := coalesce((select b.size from audit.batch b order by b.size desc limit 1), 0) / 1048576;
begin
    if k is null or k < 0 or k > needed + 2 then
        raise exception 'partition % is not needed yet', k using errcode = 'invalid_parameter_value';
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
revoke execute on function audit.add_partition(bigint) from public;
grant execute on function audit.add_partition(bigint) to mahrem_app;
select audit.add_partition(0), audit.add_partition(1);

-- +goose StatementBegin
-- claim takes the one ordering lock of the log, until the end of the transaction, and
-- checks that the log still ends where the caller thinks it does. So the order of
-- indexes is the order of commits, and a transaction that fails uses up no index.
create function audit.claim(expected_size bigint, expected_root bytea) returns void
    language plpgsql set lock_timeout = '1900ms' as $$
declare
    head record;
begin
    perform pg_advisory_xact_lock(7881695663412281345); -- "mahrem", 1
    select b.size, b.root into head from audit.batch b order by b.size desc limit 1;
    if coalesce(head.size, 0) <> expected_size or (expected_size > 0 and head.root <> expected_root) then
        raise exception 'the log has moved' using errcode = 'serialization_failure';
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- claim_head takes the same lock and says where the log ends. Called in a transaction
-- that does not commit synchronously: whoever calls it must wait for a flush of the
-- write-ahead log before telling anybody.
create function audit.claim_head(out size bigint, out root bytea)
    language plpgsql set lock_timeout = '1900ms' as $$
begin
    perform pg_advisory_xact_lock(7881695663412281345); -- "mahrem", 1
    perform set_config('synchronous_commit', 'off', true);
    select b.size, b.root into size, root from audit.batch b order by b.size desc limit 1;
end
$$;
-- +goose StatementEnd
revoke execute on function audit.claim(bigint, bytea), audit.claim_head() from public;
grant execute on function audit.claim(bigint, bytea), audit.claim_head() to mahrem_app;
