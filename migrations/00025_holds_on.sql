-- +goose Up
-- The look for holds, in a language whose plans are kept: every erasure looks twice, and a
-- function in plain SQL that cannot be inlined is parsed and planned on every call.

-- +goose StatementBegin
-- holds_on lists the holds in force on a person, by the person and by each of their
-- identifiers. Whoever destroys something calls it in the same transaction, after locking
-- the person's row of vault.data_subject; whoever sets a hold locks that row too. So of the
-- two one comes first, and the other sees it.
create or replace function dsar.holds_on(person uuid) returns table (hold_id uuid, scope uuid)
    language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
    return query
    select h.hold_id, h.scope
    from dsar.hold h
    where h.released_at is null
      and h.hold_id in (
        select p.hold_id from dsar.hold_person p where p.data_subject_id = person
        union all
        select b.hold_id
        from dsar.hold_identifier b
        join vault.identifier i on i.kind = b.kind and i.blind_index = b.blind_index
        where i.data_subject_id = person);
end
$$;
-- +goose StatementEnd
