-- +goose Up
-- How much of a delivery has come, so that it goes on where its line broke. A chunk and that it
-- is there are stored together; which chunk is which stands in the signed manifest.
alter table cleanroom.snapshot
    add column member_chunks integer not null default 0,
    add column row_chunks integer not null default 0,
    -- In pair mode: whose statement the members are from.
    add column remasked_digest bytea,
    -- When the last of it came.
    add column heard_at timestamptz,
    add constraint snapshot_chunks_are_no_debts check (member_chunks >= 0 and row_chunks >= 0),
    add constraint snapshot_remasked_is_a_sha256 check (octet_length(remasked_digest) = 32);
grant update (member_chunks, row_chunks, heard_at) on cleanroom.snapshot to mahrem_app;
create index snapshot_of_a_manifest on cleanroom.snapshot (manifest_digest);

-- +goose StatementBegin
-- begin_members makes the list of members of a party empty, for that of another statement. People
-- of the house stay, and are given other tokens by it.
create function cleanroom.begin_members(snapshot bigint, statement bytea) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    seated boolean;
begin
    if to_regclass('cleanroom.staged_member_' || snapshot) is null then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    -- The table comes first and the row after it, as in leave.
    execute format('lock table cleanroom.staged_member_%s in access exclusive mode', snapshot);
    perform from cleanroom.snapshot s where s.snapshot_id = snapshot and s.state = 'loading' for update;
    if not found then
        raise exception 'the snapshot is not being loaded' using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('select exists (select from cleanroom.staged_member_%s m where m.seat is not null)', snapshot) into seated;
    if not seated then
        execute format('truncate cleanroom.staged_member_%s', snapshot);
    end if;
    update cleanroom.snapshot s
    set member_chunks = 0, remasked_digest = statement, heard_at = clock_timestamp()
    where s.snapshot_id = snapshot;
end
$$;
-- +goose StatementEnd
revoke all on function cleanroom.begin_members(bigint, bytea) from public;
grant execute on function cleanroom.begin_members(bigint, bytea) to mahrem_app;
