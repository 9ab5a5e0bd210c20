-- +goose Up
-- Requests of data subjects (GDPR Articles 12 to 22, KVKK Articles 11 and 13) and legal
-- holds. What a requester wrote is sealed under a key of the request's own, so that it can
-- be destroyed apart from the record that the request was handled, which the law wants kept.

create schema dsar;
grant usage on schema dsar to mahrem_app;

create table keyring.request_key (
    request_id uuid not null,
    wrapped bytea not null,
    created_at timestamptz not null default now(),
    constraint request_key_pkey primary key (request_id),
    constraint request_key_wrapped_has_a_length check (octet_length(wrapped) between 64 and 256)
);
grant select, insert on keyring.request_key to mahrem_app;

create table dsar.request (
    request_id uuid not null,
    kind text not null,
    state text not null,
    -- The body of law whose clock runs, as package dsar/clock names it.
    regime text not null,
    jurisdiction text not null,
    language text not null,
    -- Null for somebody who is unknown, and after they were erased. No foreign key: a
    -- request outlives the person.
    data_subject_id uuid,
    -- Keyed tags of the identifiers that the request names: how a second request of
    -- somebody unknown is recognised without telling who they are.
    tags uuid[] not null default '{}',
    received_via text not null,
    received_at timestamptz not null,
    -- When the clock started; null while the law waits for proof of identity.
    started_at timestamptz,
    acknowledge_by timestamptz,
    -- The last moment of the period. Stored when it is set or moved, never recomputed.
    due_at timestamptz,
    extended_at timestamptz,
    paused_at timestamptz,
    verified_at timestamptz,
    closed_at timestamptz,
    denial_reason text,
    duplicate_of uuid,
    opened_by bytea not null,
    -- What the requester wrote and where to answer, sealed under the request's key.
    sealed bytea,
    version bigint not null default 1,
    constraint request_pkey primary key (request_id),
    constraint request_kind_is_known check (kind in ('access', 'portability', 'rectification', 'erasure',
        'restriction', 'objection', 'automated_decision_review')),
    constraint request_state_is_known check (state in ('received', 'identity_pending', 'in_progress', 'extended',
        'fulfilled', 'denied', 'withdrawn')),
    constraint request_regime_is_a_key check (regime ~ '^[a-z][a-z0-9_]{0,31}$'),
    constraint request_jurisdiction_is_a_key check (jurisdiction ~ '^[A-Z]{2}(-[A-Z]{2,3})?$'),
    constraint request_language_is_known check (language in ('en', 'tr', 'cs')),
    constraint request_received_via_is_known check (received_via in ('cli', 'api', 'opendsr')),
    constraint request_closes_with_a_time check ((closed_at is not null) = (state in ('fulfilled', 'denied', 'withdrawn'))),
    constraint request_denied_has_a_reason check ((denial_reason is not null) = (state = 'denied')),
    constraint request_denial_reason_is_a_key check (denial_reason ~ '^[a-z][a-z_]{0,63}$'),
    constraint request_is_not_its_own_duplicate check (duplicate_of <> request_id),
    constraint request_opened_by_is_a_tag check (octet_length(opened_by) = 16),
    constraint request_version_counts_from_one check (version >= 1)
);
create index request_due on dsar.request (due_at, received_at, request_id) where closed_at is null;
create index request_data_subject_id on dsar.request (data_subject_id) where data_subject_id is not null;
create index request_tags on dsar.request using gin (tags);
create index request_closed_at on dsar.request (closed_at) where closed_at is not null;
grant select, insert, update (state, data_subject_id, started_at, acknowledge_by, due_at, extended_at, paused_at, verified_at,
    closed_at, denial_reason, sealed, version) on dsar.request to mahrem_app;

-- Each step that a request took. Rows are only added, each in the transaction of its log entry.
create table dsar.request_step (
    request_id uuid not null,
    step bigint not null,
    action text not null,
    from_state text not null,
    to_state text not null,
    at timestamptz not null,
    by_actor bytea not null,
    -- A note or reason, sealed under the request's key.
    sealed bytea,
    constraint request_step_pkey primary key (request_id, step),
    constraint request_step_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint request_step_counts_from_one check (step >= 1),
    constraint request_step_action_is_a_key check (action ~ '^[a-z][a-z_]{0,63}$'),
    constraint request_step_by_actor_is_a_tag check (octet_length(by_actor) = 16)
);
grant select, insert on dsar.request_step to mahrem_app;

-- Legal holds (GDPR Article 17(3)(e), KVKK Article 28). A hold names a person, or
-- identifiers, or both; it binds everybody who has one of the identifiers, now or later.
create table dsar.hold (
    hold_id uuid not null,
    -- What it covers: null is everything, otherwise a keyed tag of a data category and
    -- perhaps an attribute, so that no row says of anybody that there are health data.
    scope uuid,
    reason text not null,
    -- Who ordered it, as a file number: a word, not a sentence about somebody.
    authority text not null,
    set_by bytea not null,
    set_at timestamptz not null,
    released_at timestamptz,
    released_by bytea,
    release_reason text,
    constraint hold_pkey primary key (hold_id),
    constraint hold_reason_is_known check (reason in ('litigation', 'regulator', 'criminal_investigation', 'tax_audit', 'contract_dispute')),
    constraint hold_authority_is_a_word check (authority ~ '^[A-Za-z0-9._:/-]{1,64}$'),
    constraint hold_actors_are_tags check (octet_length(set_by) = 16 and octet_length(released_by) = 16),
    constraint hold_release_reason_is_known check (release_reason in ('concluded', 'withdrawn_by_authority', 'set_in_error', 'expired')),
    constraint hold_release_is_whole check ((released_at is null) = (released_by is null) and (released_at is null) = (release_reason is null)),
    constraint hold_ends_after_it_began check (released_at >= set_at)
);
create index hold_in_force on dsar.hold (hold_id) where released_at is null;
grant select, insert, update (released_at, released_by, release_reason) on dsar.hold to mahrem_app;

create table dsar.hold_person (
    hold_id uuid not null,
    data_subject_id uuid not null,
    constraint hold_person_pkey primary key (hold_id, data_subject_id),
    constraint hold_person_is_of_a_hold foreign key (hold_id) references dsar.hold (hold_id) on delete cascade
);
create index hold_person_data_subject_id on dsar.hold_person (data_subject_id);

create table dsar.hold_identifier (
    hold_id uuid not null,
    kind text not null,
    blind_index bytea not null,
    constraint hold_identifier_pkey primary key (hold_id, kind, blind_index),
    constraint hold_identifier_is_of_a_hold foreign key (hold_id) references dsar.hold (hold_id) on delete cascade,
    constraint hold_identifier_kind_is_known check (kind in ('email', 'phone', 'customer_number', 'cookie_id')),
    constraint hold_identifier_blind_index_has_its_length check (octet_length(blind_index) = 33)
);
create index hold_identifier_blind_index on dsar.hold_identifier (kind, blind_index);
grant select, insert on dsar.hold_person, dsar.hold_identifier to mahrem_app;

-- +goose StatementBegin
-- holds_on lists the holds in force on a person, by the person and by each of their
-- identifiers. Whoever destroys something calls it in the same transaction, after locking
-- the person's row of vault.data_subject; whoever sets a hold locks that row too. So of the
-- two one comes first, and the other sees it. In plpgsql, which keeps its plans: every
-- erasure looks twice.
create function dsar.holds_on(person uuid) returns table (hold_id uuid, scope uuid)
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
revoke execute on function dsar.holds_on(uuid) from public;
grant execute on function dsar.holds_on(uuid) to mahrem_app;
