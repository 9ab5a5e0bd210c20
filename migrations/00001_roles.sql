-- +goose Up
-- mahrem_app is what a running server may be. It owns nothing: grants in the later
-- migrations are all it has.

-- +goose StatementBegin
do $$
begin
    create role mahrem_app nologin;
exception
    -- Roles belong to the whole cluster: another database of it may have made this one.
    when duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
grant select on goose_db_version to mahrem_app;
