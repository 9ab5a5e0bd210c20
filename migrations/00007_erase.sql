-- +goose Up
-- The one way to erase a person (GDPR Article 17, KVKK Article 7). mahrem_app may delete
-- nothing; it may call this function, in the transaction that also appends the log
-- entry. Every table that holds rows of a person is named here, and a test compares the
-- list with the tables that have a column data_subject_id.

-- +goose StatementBegin
create function vault.erase_person(
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
-- Nobody's own schema may put another table in the place of these.
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
    delete from vault.data_subject where data_subject_id = person;
    get diagnostics data_subjects = row_count;
end
$$;
-- +goose StatementEnd
revoke all on function vault.erase_person(uuid) from public;
grant execute on function vault.erase_person(uuid) to mahrem_app;
