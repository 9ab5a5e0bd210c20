-- +goose Up
-- What is held about people. Nothing here is readable without the key directory: the
-- values are sealed, the data categories are opaque slots (a keyed hash of person and
-- category, so that two people's slots cannot be compared), the identifiers are blind
-- indexes. The wrapped keys have a schema of their own, to be dumped and kept apart.

create schema keyring;
create schema vault;
grant usage on schema keyring, vault to mahrem_app;

-- A value sealed under the KEK. A server whose KEK does not open it has the wrong key
-- directory and must not start.
create table keyring.kek_check (
    only_row boolean not null default true,
    sealed bytea not null,
    created_at timestamptz not null default now(),
    constraint kek_check_pkey primary key (only_row),
    constraint kek_check_holds_one_row check (only_row)
);
grant select, insert on keyring.kek_check to mahrem_app;

create table keyring.person_key (
    data_subject_id uuid not null,
    wrapped bytea not null,
    created_at timestamptz not null default now(),
    constraint person_key_pkey primary key (data_subject_id),
    constraint person_key_wrapped_has_a_length check (octet_length(wrapped) between 64 and 256)
);
grant select, insert on keyring.person_key to mahrem_app;

create table vault.data_subject (
    data_subject_id uuid not null,
    jurisdiction text not null,
    restricted boolean not null default false,
    created_at timestamptz not null default now(),
    constraint data_subject_pkey primary key (data_subject_id),
    constraint data_subject_jurisdiction_is_a_key check (jurisdiction ~ '^[A-Z]{2}(-[A-Z]{2})?$')
);
grant select, insert, update (jurisdiction, restricted) on vault.data_subject to mahrem_app;

-- The foreign keys below are within one person, so they cost no distribution; they make
-- a writer who is late wait for an erasure and then fail, instead of leaving rows of
-- somebody who is gone.

create table vault.identifier (
    data_subject_id uuid not null,
    kind text not null,
    blind_index bytea not null,
    created_at timestamptz not null default now(),
    constraint identifier_pkey primary key (kind, blind_index),
    constraint identifier_has_a_person foreign key (data_subject_id) references vault.data_subject (data_subject_id),
    constraint identifier_kind_is_known check (kind in ('email', 'phone', 'customer_number', 'cookie_id')),
    constraint identifier_blind_index_has_its_length check (octet_length(blind_index) = 33)
);
create index identifier_data_subject_id on vault.identifier (data_subject_id);
grant select, insert on vault.identifier to mahrem_app;

create table vault.sealed_record (
    data_subject_id uuid not null,
    slot bytea not null,
    record_version bigint not null,
    sealed bytea not null,
    updated_at timestamptz not null default now(),
    constraint sealed_record_pkey primary key (data_subject_id, slot),
    constraint sealed_record_has_a_person foreign key (data_subject_id) references vault.data_subject (data_subject_id),
    constraint sealed_record_slot_has_its_length check (octet_length(slot) = 16),
    constraint sealed_record_version_counts_from_one check (record_version >= 1)
);
-- Sealed bytes do not compress; trying only costs time.
alter table vault.sealed_record alter column sealed set storage external;
alter table vault.sealed_record set (toast_tuple_target = 8160);
grant select, insert, update (record_version, sealed, updated_at) on vault.sealed_record to mahrem_app;

create table vault.event_chunk (
    data_subject_id uuid not null,
    slot bytea not null,
    chunk bigint not null,
    record_version bigint not null,
    event_count integer not null,
    sealed bytea not null,
    constraint event_chunk_pkey primary key (data_subject_id, slot, chunk),
    constraint event_chunk_has_a_person foreign key (data_subject_id) references vault.data_subject (data_subject_id),
    constraint event_chunk_slot_has_its_length check (octet_length(slot) = 16),
    constraint event_chunk_counts_from_zero check (chunk >= 0),
    constraint event_chunk_version_counts_from_one check (record_version >= 1),
    constraint event_chunk_is_bounded check (event_count between 1 and 64)
);
alter table vault.event_chunk alter column sealed set storage external;
-- A chunk mostly fits into its page. Beside its row it would cost a second look-up.
alter table vault.event_chunk set (toast_tuple_target = 8160);
grant select, insert, update (record_version, event_count, sealed) on vault.event_chunk to mahrem_app;

-- A keyed hash of person, source and event identity: the same event delivered again,
-- by the same file or another, is recognised and changes nothing.
create table vault.event_fingerprint (
    data_subject_id uuid not null,
    fingerprint bytea not null,
    constraint event_fingerprint_pkey primary key (data_subject_id, fingerprint),
    constraint event_fingerprint_has_its_length check (octet_length(fingerprint) = 16)
);
grant select, insert on vault.event_fingerprint to mahrem_app;
