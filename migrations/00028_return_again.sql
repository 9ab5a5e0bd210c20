-- +goose Up
-- Whoever was erased, came back with an older copy and is erased again, may come back before
-- what was left of them was swept up. Of the erasures the last one has their rows.

-- +goose StatementBegin
-- hand_over_rest ends an erasure whose person is erased anew: what it left is the other's.
create function dsar.hand_over_rest() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    update dsar.erasure e set swept_at = clock_timestamp(), data_subject_id = null
    where e.data_subject_id = new.data_subject_id and e.erasure_id <> new.erasure_id;
    return new;
end
$$;
-- +goose StatementEnd
revoke execute on function dsar.hand_over_rest() from public;

create trigger hand_over_rest before insert on dsar.erasure
    for each row when (new.data_subject_id is not null) execute function dsar.hand_over_rest();
