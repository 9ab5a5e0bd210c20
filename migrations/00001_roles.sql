-- +goose Up
-- mahrem_app is what a running server may be. It owns nothing: grants in the later
-- migrations are all it has.

-- +goose StatementBegin
do $$
begin
    -- Roles belong to the whole cluster: another database of it may have made this one,
    -- and whoever migrates may then not be allowed to make roles.
    if not exists (select from pg_roles where rolname = 'mahrem_app') then
        create role mahrem_app nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
do $$
begin
    -- The owner may become mahrem_app. A superuser may anyway, and since PostgreSQL 16
    -- whoever makes a role may not, unless it is said.
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant mahrem_app to current_user;
    end if;
exception
    -- Somebody else made the role, and so it is for them to say.
    when insufficient_privilege then null;
end
$$;
-- +goose StatementEnd
grant select on goose_db_version to mahrem_app;
