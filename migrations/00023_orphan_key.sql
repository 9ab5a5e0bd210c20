-- +goose Up
-- A backup of schema keyring that is older than an erasure brings the person's key back,
-- though everything else about them stays gone. Shredding takes such a key too.

-- +goose StatementBegin
-- shred erases a person. It is the one place that destroys a person's key, and how long it
-- takes does not depend on how many records they have: those stay behind unreadable, for
-- vault.sweep. The caller has locked the person's row, looked for holds (dsar.holds_on) and
-- written the line of the ledger. It finds nobody when the person is unknown or was erased
-- before; but a key of theirs that an older backup of the keys has brought back goes all
-- the same, and is reported without a person.
create or replace function vault.shred(
    person uuid,
    erasure uuid,
    request uuid,
    plan bytea,
    withheld bytea,
    suppressed bigint,
    ledger_sequence bigint,
    out people bigint,
    out key_digests bytea[],
    out identifiers bigint,
    out consents bigint,
    out exposures bigint,
    out cases bigint,
    out erased_at timestamptz
)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    key_digests := '{}';
    identifiers := 0;
    consents := 0;
    exposures := 0;
    cases := 0;
    -- Writers of this person's rows hold a lock on this one; from here on they wait, and
    -- then find nobody.
    perform from vault.data_subject d where d.data_subject_id = person for update;
    update vault.data_subject d set erasing = true, restricted = true
    where d.data_subject_id = person and not d.erasing;
    get diagnostics people = row_count;
    with gone as (
        delete from keyring.person_key k where k.data_subject_id = person returning sha256(k.wrapped) as digest)
    select coalesce(array_agg(g.digest), '{}') into key_digests from gone g;
    if people = 0 then
        return;
    end if;
    erased_at := clock_timestamp();
    delete from vault.identifier i where i.data_subject_id = person;
    get diagnostics identifiers = row_count;
    delete from consent.record r where r.data_subject_id = person;
    get diagnostics consents = row_count;
    delete from gate.exposure x where x.data_subject_id = person;
    get diagnostics exposures = row_count;
    delete from gate.case_file c where c.data_subject_id = person;
    get diagnostics cases = row_count;
    delete from gate.profile p where p.data_subject_id = person;
    delete from dsar.hold_person h
    using dsar.hold o
    where h.data_subject_id = person and o.hold_id = h.hold_id and o.released_at is not null;
    update dsar.request q set data_subject_id = null where q.data_subject_id = person;
    insert into dsar.erasure (erasure_id, request_id, plan_hash, key_digests, identifiers, consents, exposures, cases,
        suppressed, sealed, ledger_sequence, erased_at, data_subject_id)
    values (erasure, request, plan, key_digests, identifiers, consents, exposures, cases,
        suppressed, withheld, ledger_sequence, erased_at, person);
end
$$;
-- +goose StatementEnd
