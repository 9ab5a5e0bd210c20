-- +goose Up
-- What audiences are found by. A value is here as a keyed tag only (a hash of attribute,
-- level and value under a key of the key directory): somebody who has the table alone can
-- see that people have something in common, and not what. Intake knows nothing of it: the
-- triggers below mark whatever changes, and a refresher makes marked rows again. A row that
-- is marked, or past its time, is in no audience.

create table gate.profile (
    data_subject_id uuid not null,
    -- Counts changes. What is made from an older state than the last change is not stored.
    changed bigint not null default 1,
    -- Tag of the part of the catalogue that the row was made by.
    shape uuid not null default '00000000-0000-0000-0000-000000000000',
    -- Until when the row holds. It ends at a random time, unless something about the person
    -- ends before: so it does not give away when, or whether, somebody has a birthday.
    fresh_until timestamptz not null default '-infinity',
    age uuid not null default '00000000-0000-0000-0000-000000000000',
    household uuid not null default '00000000-0000-0000-0000-000000000000',
    tags uuid[] not null default '{}',
    constraint profile_pkey primary key (data_subject_id),
    constraint profile_tags_are_bounded check (cardinality(tags) <= 256)
);
create index profile_due on gate.profile (shape, fresh_until);
grant select, insert, update (changed, shape, fresh_until, age, household, tags) on gate.profile to mahrem_app;

-- +goose StatementBegin
-- mark_profiles marks whoever a statement has changed. A row that this transaction has made
-- is marked already, and nobody else can have seen it.
create function gate.mark_profiles() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    insert into gate.profile (data_subject_id)
    select distinct c.data_subject_id
    from changed_rows c
    order by c.data_subject_id
    on conflict (data_subject_id) do update
    set changed = profile.changed + 1, fresh_until = '-infinity'
    where profile.xmin <> pg_current_xact_id()::xid;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- mark_moved_profiles marks whoever has come under another law, which sets other ages.
create function gate.mark_moved_profiles() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    update gate.profile p
    set changed = p.changed + 1, fresh_until = '-infinity'
    from changed_rows c join former_rows f on f.data_subject_id = c.data_subject_id
    where p.data_subject_id = c.data_subject_id and f.jurisdiction <> c.jurisdiction;
    return null;
end
$$;
-- +goose StatementEnd
revoke execute on function gate.mark_profiles(), gate.mark_moved_profiles() from public;

create trigger mark_new_profiles after insert on vault.data_subject
    referencing new table as changed_rows for each statement execute function gate.mark_profiles();
create trigger mark_moved_profiles after update on vault.data_subject
    referencing old table as former_rows new table as changed_rows for each statement execute function gate.mark_moved_profiles();
create trigger mark_added_records after insert on vault.sealed_record
    referencing new table as changed_rows for each statement execute function gate.mark_profiles();
create trigger mark_replaced_records after update on vault.sealed_record
    referencing new table as changed_rows for each statement execute function gate.mark_profiles();

insert into gate.profile (data_subject_id)
select data_subject_id from vault.data_subject;

-- +goose StatementBegin
create or replace function vault.erase_person(
    person uuid,
    out data_subjects bigint,
    out person_keys bigint,
    out identifiers bigint,
    out records bigint,
    out chunks bigint,
    out fingerprints bigint,
    out consents bigint,
    out exposures bigint
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Writers of this person's rows hold a lock on this one; from here on they wait, and
    -- then find nobody.
    perform from vault.data_subject where data_subject_id = person for update;
    delete from keyring.person_key where data_subject_id = person;
    get diagnostics person_keys = row_count;
    delete from vault.identifier where data_subject_id = person;
    get diagnostics identifiers = row_count;
    delete from vault.sealed_record where data_subject_id = person;
    get diagnostics records = row_count;
    delete from vault.event_chunk where data_subject_id = person;
    get diagnostics chunks = row_count;
    delete from vault.event_fingerprint where data_subject_id = person;
    get diagnostics fingerprints = row_count;
    delete from consent.record where data_subject_id = person;
    get diagnostics consents = row_count;
    delete from gate.exposure where data_subject_id = person;
    get diagnostics exposures = row_count;
    delete from gate.profile where data_subject_id = person;
    delete from vault.data_subject where data_subject_id = person;
    get diagnostics data_subjects = row_count;
end
$$;
-- +goose StatementEnd
