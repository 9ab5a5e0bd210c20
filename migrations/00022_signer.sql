-- +goose Up
-- mahrem_signer is what signs checkpoints when that is not left to the server: it sees the
-- log and nothing else, and adds checkpoints and the signatures of witnesses to it.

-- +goose StatementBegin
do $$
begin
    if not exists (select from pg_roles where rolname = 'mahrem_signer') then
        create role mahrem_signer nologin;
    end if;
exception
    when duplicate_object or unique_violation then null;
end
$$;
-- +goose StatementEnd
-- +goose StatementBegin
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        grant mahrem_signer to current_user;
    end if;
exception
    when insufficient_privilege then null;
end
$$;
-- +goose StatementEnd
grant select on goose_db_version to mahrem_signer;
grant usage on schema audit to mahrem_signer;
grant select on audit.entry, audit.tile0, audit.tile_hi, audit.subtree, audit.batch,
    audit.checkpoint, audit.cosignature to mahrem_signer;
grant insert on audit.checkpoint, audit.cosignature to mahrem_signer;

-- A witness has one line under a checkpoint, and it is one line.
alter table audit.cosignature
    add constraint cosignature_line_is_bounded check (length(line) between 1 and 8192 and position(chr(10) in line) = 0),
    add constraint cosignature_key_name_is_bounded check (length(key_name) between 1 and 1024);
