-- +goose Up
-- The consent ledger proves itself: every row has a commitment, and every commitment stands
-- in the log, one by one or as the digest of a batch. docs/spec/consent.md has the bytes.

-- Two records with one id are one record, whoever they are about.
create unique index record_consent_id on consent.record (consent_id);

-- Rows that were added together, under one entry consent.imported of the log.
create table consent.batch (
    batch_id uuid not null,
    -- Over the commitments of all rows, in their order.
    digest bytea not null,
    row_count integer not null,
    recorded_at timestamptz not null default now(),
    constraint batch_pkey primary key (batch_id),
    constraint batch_digest_is_unique unique (digest),
    constraint batch_digest_has_its_length check (octet_length(digest) = 32),
    constraint batch_is_not_empty check (row_count > 0)
);
grant select, insert on consent.batch to mahrem_app;

-- What is left of a row whose person was erased: the number that the log holds, which tells
-- nothing without the row and its salt. Only vault.shred adds to it.
create table consent.gone (
    commitment bytea not null,
    batch_id uuid,
    batch_position integer,
    -- Over all that went with it, in order; it stands in the log as consent.erased.
    erasure_digest bytea not null,
    constraint gone_pkey primary key (commitment),
    constraint gone_digests_have_their_length check (octet_length(commitment) = 32 and octet_length(erasure_digest) = 32),
    constraint gone_batch_has_a_position check ((batch_id is null) = (batch_position is null) and batch_position >= 0)
);
create index gone_erasure_digest on consent.gone (erasure_digest, commitment);
create index gone_batch on consent.gone (batch_id, batch_position) where batch_id is not null;
grant select on consent.gone to mahrem_app;

-- Rows are added, and go when their person is erased; nothing changes them, whoever asks.
select audit.guard(t) from unnest(array['consent.batch', 'consent.gone']::regclass[]) as t;
create trigger refuse_row_change before update on consent.record
    for each row execute function audit.refuse_change();
create trigger refuse_truncate before truncate on consent.record
    for each statement execute function audit.refuse_change();
alter table consent.record enable always trigger refuse_row_change;
alter table consent.record enable always trigger refuse_truncate;

drop function vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint);
drop function vault.sweep(integer, uuid);

-- +goose StatementBegin
-- shred erases a person. It is the one place that destroys a person's key, and how long it
-- takes does not depend on how many records they have: those stay behind unreadable, for
-- vault.sweep. The caller has locked the person's row, looked for holds (dsar.holds_on) and
-- written the line of the ledger, and says in the log what consent_digest is. It finds nobody
-- when the person is unknown or was erased before; but a key of theirs that an older backup
-- of the keys has brought back goes all the same, and is reported without a person.
create function vault.shred(
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
    out erased_at timestamptz,
    out consent_digest bytea
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
    with erased as (
        delete from consent.record r where r.data_subject_id = person
        returning r.commitment, r.batch_id, r.batch_position), digest as (
        select sha256('\x6d616872656d2f636f6e73656e742f6572617365642f763100'::bytea || -- mahrem/consent/erased/v1
            string_agg(e.commitment, ''::bytea order by e.commitment)) as value
        from erased e where e.commitment is not null), gone as (
        insert into consent.gone (commitment, batch_id, batch_position, erasure_digest)
        select e.commitment, e.batch_id, e.batch_position, d.value from erased e, digest d where e.commitment is not null)
    select (select count(*) from erased), (select d.value from digest d) into consents, consent_digest;
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
revoke all on function vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint) from public;
grant execute on function vault.shred(uuid, uuid, uuid, bytea, bytea, bigint, bigint) to mahrem_app;

-- +goose StatementBegin
-- sweep deletes at most about max_rows rows of people who were shredded, of one erasure or
-- of any, and says how many and how many people that finished. It may be called again and
-- again, by many at the same time, and stops anywhere without harm.
create function vault.sweep(max_rows integer, only_erasure uuid, out rows_deleted bigint, out people bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    person uuid := '00000000-0000-0000-0000-000000000000';
    budget bigint := least(greatest(max_rows, 1), 100000);
    n_chunks bigint;
    n_fingerprints bigint;
    n_records bigint;
begin
    rows_deleted := 0;
    people := 0;
    while rows_deleted < budget loop
        if only_erasure is null then
            select d.data_subject_id into person
            from vault.data_subject d
            where d.erasing and d.data_subject_id > person
            order by d.data_subject_id
            limit 1
            for update skip locked;
        else
            select d.data_subject_id into person
            from dsar.erasure e join vault.data_subject d on d.data_subject_id = e.data_subject_id
            where e.erasure_id = only_erasure and d.erasing
            for update of d skip locked;
        end if;
        exit when not found;
        delete from vault.event_chunk c using (
            select g.slot, g.chunk from vault.event_chunk g where g.data_subject_id = person limit budget - rows_deleted) part
        where c.data_subject_id = person and c.slot = part.slot and c.chunk = part.chunk;
        get diagnostics n_chunks = row_count;
        rows_deleted := rows_deleted + n_chunks;
        delete from vault.event_fingerprint f using (
            select g.fingerprint from vault.event_fingerprint g where g.data_subject_id = person limit budget - rows_deleted) part
        where f.data_subject_id = person and f.fingerprint = part.fingerprint;
        get diagnostics n_fingerprints = row_count;
        rows_deleted := rows_deleted + n_fingerprints;
        n_records := 0;
        if rows_deleted < budget then
            delete from vault.sealed_record r where r.data_subject_id = person;
            get diagnostics n_records = row_count;
            delete from vault.identifier i where i.data_subject_id = person;
            -- Shredding has left none, and nobody can add one; should there be one, then what
            -- is left of it has no entry in the log, and verification says so.
            with erased as (
                delete from consent.record r where r.data_subject_id = person
                returning r.commitment, r.batch_id, r.batch_position)
            insert into consent.gone (commitment, batch_id, batch_position, erasure_digest)
            select e.commitment, e.batch_id, e.batch_position, sha256(e.commitment) from erased e where e.commitment is not null;
            delete from gate.exposure x where x.data_subject_id = person;
            delete from gate.profile p where p.data_subject_id = person;
            delete from vault.data_subject d where d.data_subject_id = person;
            rows_deleted := rows_deleted + n_records + 1;
            people := people + 1;
            update dsar.erasure e
            set chunks = e.chunks + n_chunks, fingerprints = e.fingerprints + n_fingerprints, records = e.records + n_records,
                swept_at = clock_timestamp(), data_subject_id = null
            where e.data_subject_id = person;
        else
            update dsar.erasure e
            set chunks = e.chunks + n_chunks, fingerprints = e.fingerprints + n_fingerprints
            where e.data_subject_id = person;
        end if;
    end loop;
end
$$;
-- +goose StatementEnd
revoke all on function vault.sweep(integer, uuid) from public;
grant execute on function vault.sweep(integer, uuid) to mahrem_app;
