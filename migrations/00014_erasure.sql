-- +goose Up
-- Erasure (GDPR Article 17, KVKK Article 7): plan, approval, shredding in one short
-- transaction, and sweeping up of what nobody can open any more. docs/erasure.md has the
-- protocol.

-- Set by vault.shred, and by nothing else: the person is erased, their key is destroyed,
-- and what is left of their rows waits for vault.sweep. To everybody who asks, they are
-- unknown.
alter table vault.data_subject add column erasing boolean not null default false;
create index data_subject_erasing on vault.data_subject (data_subject_id) where erasing;

-- +goose StatementBegin
-- refuse_erasing lets nobody add to a person who is being erased. Whoever takes care locks
-- the person's row first and looks; this is for whoever does not.
create function vault.refuse_erasing() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if exists (
        select from vault.data_subject d
        where d.erasing and d.data_subject_id in (select c.data_subject_id from changed_rows c)) then
        raise exception 'the person is being erased' using errcode = '40001';
    end if;
    return null;
end
$$;
-- +goose StatementEnd
revoke execute on function vault.refuse_erasing() from public;
create trigger refuse_erasing after insert on vault.identifier
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on vault.sealed_record
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on vault.event_chunk
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on vault.event_fingerprint
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on keyring.person_key
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on consent.record
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on gate.exposure
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();
create trigger refuse_erasing after insert on gate.case_file
    referencing new table as changed_rows for each statement execute function vault.refuse_erasing();

-- What an erasure would destroy and keep. The document is sealed under the request's key;
-- its hash stands in the log.
create table dsar.plan (
    request_id uuid not null,
    plan_hash bytea not null,
    -- Digest of the versions of everything that is held. It is compared again while the
    -- person's row is locked, which takes as long for one record as for many.
    held bytea not null,
    sealed bytea not null,
    planned_at timestamptz not null,
    planned_by bytea not null,
    -- When a legal hold stood in the way of the erasure.
    deferred_at timestamptz,
    constraint plan_pkey primary key (request_id, plan_hash),
    constraint plan_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint plan_digests_have_their_length check (octet_length(plan_hash) = 32 and octet_length(held) = 32),
    constraint plan_planned_by_is_a_tag check (octet_length(planned_by) = 16)
);
create index plan_deferred on dsar.plan (deferred_at) where deferred_at is not null;
-- A plan that is the right one again, because a hold was set and released, becomes the last
-- one again.
grant select, insert, update (deferred_at, planned_at) on dsar.plan to mahrem_app;

create table dsar.approval (
    request_id uuid not null,
    plan_hash bytea not null,
    actor bytea not null,
    approved_at timestamptz not null,
    -- Nobody approves twice.
    constraint approval_pkey primary key (request_id, plan_hash, actor),
    constraint approval_is_of_a_plan foreign key (request_id, plan_hash)
        references dsar.plan (request_id, plan_hash) on delete cascade,
    constraint approval_actor_is_a_tag check (octet_length(actor) = 16)
);
grant select, insert on dsar.approval to mahrem_app;

-- What was destroyed. Nothing here leads to anybody: the person's id goes with the last of
-- their rows.
create table dsar.erasure (
    erasure_id uuid not null,
    -- Null when the erasure was done again after a restore that knows no such request.
    request_id uuid,
    plan_hash bytea not null,
    -- SHA-256 of each wrapped key that was destroyed.
    key_digests bytea[] not null,
    identifiers bigint not null,
    consents bigint not null,
    exposures bigint not null,
    cases bigint not null,
    -- These grow while the rows are swept up.
    records bigint not null default 0,
    chunks bigint not null default 0,
    fingerprints bigint not null default 0,
    suppressed bigint not null,
    -- What was kept by law, sealed under the key of the house.
    sealed bytea not null,
    ledger_sequence bigint not null,
    erased_at timestamptz not null,
    -- Where the log has it; filled in after the commit, and found again by plan_hash if
    -- that did not come to pass.
    log_index bigint,
    leaf_hash bytea,
    swept_at timestamptz,
    data_subject_id uuid,
    constraint erasure_pkey primary key (erasure_id),
    constraint erasure_digests_have_their_length check (octet_length(plan_hash) = 32 and octet_length(leaf_hash) = 32),
    constraint erasure_log_entry_is_whole check ((log_index is null) = (leaf_hash is null)),
    constraint erasure_forgets_the_person_when_swept check ((data_subject_id is null) = (swept_at is not null))
);
create unique index erasure_request_id on dsar.erasure (request_id) where request_id is not null;
create unique index erasure_data_subject_id on dsar.erasure (data_subject_id) where data_subject_id is not null;
create index erasure_erased_at on dsar.erasure (erased_at);
grant select, insert, update (log_index, leaf_hash) on dsar.erasure to mahrem_app;

-- Keyed tags of the identifiers of people who were erased: whoever brings one again is
-- refused, until a data protection officer lifts it.
create table dsar.suppression (
    tag bytea not null,
    erasure_id uuid not null,
    created_at timestamptz not null,
    lifted_at timestamptz,
    lifted_by bytea,
    constraint suppression_pkey primary key (tag, erasure_id),
    constraint suppression_tag_has_its_length check (octet_length(tag) = 16),
    constraint suppression_lift_is_whole check ((lifted_at is null) = (lifted_by is null)),
    constraint suppression_lifted_by_is_a_tag check (octet_length(lifted_by) = 16)
);
create index suppression_in_force on dsar.suppression (tag) where lifted_at is null;
create index suppression_erasure_id on dsar.suppression (erasure_id);
grant select, insert, update (lifted_at, lifted_by) on dsar.suppression to mahrem_app;

-- What the law or a legal hold forbids to destroy: sealed anew, each under a key of its
-- own, and linked to nobody. It ends with its ground.
create table dsar.withheld (
    withheld_id uuid not null,
    erasure_id uuid not null,
    until timestamptz,
    hold_id uuid,
    -- Category, attribute, ground and article, sealed under the key below.
    sealed bytea not null,
    created_at timestamptz not null default now(),
    constraint withheld_pkey primary key (withheld_id),
    constraint withheld_has_an_end check (until is not null or hold_id is not null)
);
create index withheld_until on dsar.withheld (until) where until is not null;
create index withheld_hold_id on dsar.withheld (hold_id) where hold_id is not null;
create index withheld_erasure_id on dsar.withheld (erasure_id);
grant select, insert on dsar.withheld to mahrem_app;

create table dsar.withheld_part (
    withheld_id uuid not null,
    part bigint not null,
    sealed bytea not null,
    constraint withheld_part_pkey primary key (withheld_id, part),
    constraint withheld_part_is_of_something foreign key (withheld_id) references dsar.withheld (withheld_id) on delete cascade,
    constraint withheld_part_counts_from_zero check (part >= 0)
);
grant select, insert on dsar.withheld_part to mahrem_app;

create table keyring.withheld_key (
    withheld_id uuid not null,
    wrapped bytea not null,
    created_at timestamptz not null default now(),
    constraint withheld_key_pkey primary key (withheld_id),
    constraint withheld_key_wrapped_has_a_length check (octet_length(wrapped) between 64 and 256)
);
grant select, insert on keyring.withheld_key to mahrem_app;

-- +goose StatementBegin
-- erase_withheld destroys what was withheld, of the given only that whose ground has
-- ended: its time is over, and its hold, if it has one, is released.
create function dsar.erase_withheld(ids uuid[], out erased bigint)
    language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    ended uuid[];
begin
    select coalesce(array_agg(w.withheld_id), '{}') into ended
    from dsar.withheld w
    where w.withheld_id = any (ids)
      and (w.until is null or w.until <= clock_timestamp())
      and (w.hold_id is null or not exists (select from dsar.hold h where h.hold_id = w.hold_id and h.released_at is null));
    delete from keyring.withheld_key where withheld_id = any (ended);
    delete from dsar.withheld where withheld_id = any (ended);
    get diagnostics erased = row_count;
end
$$;
-- +goose StatementEnd
revoke all on function dsar.erase_withheld(uuid[]) from public;
grant execute on function dsar.erase_withheld(uuid[]) to mahrem_app;

-- The lines of the erasure ledger that this database has carried out. The ledger itself is
-- a file elsewhere; a line of it that is missing here means that the database is older.
create table dsar.ledger (
    sequence bigint not null,
    line_hash bytea not null,
    applied_at timestamptz not null default now(),
    constraint ledger_pkey primary key (sequence),
    constraint ledger_counts_from_zero check (sequence >= 0),
    constraint ledger_line_hash_has_its_length check (octet_length(line_hash) = 32)
);
grant select, insert on dsar.ledger to mahrem_app;

drop function vault.erase_person(uuid);

-- +goose StatementBegin
-- shred erases a person. It is the one place that destroys a person's key, and how long it
-- takes does not depend on how many records they have: those stay behind unreadable, for
-- vault.sweep. The caller has locked the person's row, looked for holds (dsar.holds_on) and
-- written the line of the ledger. It finds nobody when the person is unknown or was erased
-- before; but a key of theirs that an older backup of the keys has brought back goes all
-- the same, and is reported without a person.
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
            delete from consent.record r where r.data_subject_id = person;
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
