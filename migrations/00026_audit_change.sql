-- +goose Up
-- A change and its entry, in as few statements as possible: of what a change costs the
-- database, starting statements is the largest part.

-- +goose StatementBegin
-- claim_change is audit.claim for a transaction whose commit does not wait for the disk.
-- Both settings last until the transaction ends, and nothing but the entry and the commit
-- come after it; setting them here costs less than with the function.
create function audit.claim_change(expected_size bigint, expected_root bytea) returns void
    language plpgsql as $$
declare
    head_size bigint;
    head_root bytea;
begin
    if set_config('synchronous_commit', 'off', true) is null
        or set_config('lock_timeout', '1900ms', true) is null
        or pg_advisory_xact_lock(7881695663412281345) is null then -- "mahrem", 1
        raise exception 'the log cannot be claimed' using errcode = 'lock_not_available';
    end if;
    select b.size, b.root into head_size, head_root from audit.batch b order by b.size desc limit 1;
    if coalesce(head_size, 0) <> expected_size or (expected_size > 0 and head_root <> expected_root) then
        raise exception 'the log has moved' using errcode = 'serialization_failure';
    end if;
end
$$;
-- +goose StatementEnd
revoke execute on function audit.claim_change(bigint, bytea) from public;
grant execute on function audit.claim_change(bigint, bytea) to mahrem_app;
