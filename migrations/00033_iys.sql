-- +goose Up
-- What the national registry of consents of Turkey (İYS) says about addresses of people that
-- are known here, what was told to it, and how far either is. Addresses are keyed tags, and a
-- person's rows go with the person.

create table consent.iys_standing (
    data_subject_id uuid not null,
    brand bigint not null,
    address bytea not null,
    type text not null,
    recipient_type text not null,
    status text not null,
    -- When it was said, by the registry.
    said_at timestamptz not null,
    constraint iys_standing_pkey primary key (data_subject_id, brand, address, type, recipient_type),
    constraint iys_standing_is_about_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade,
    constraint iys_standing_address_has_its_length check (octet_length(address) = 16),
    constraint iys_standing_type_is_known check (type in ('ARAMA', 'MESAJ', 'EPOSTA')),
    constraint iys_standing_recipient_type_is_known check (recipient_type in ('BIREYSEL', 'TACIR')),
    constraint iys_standing_status_is_known check (status in ('ONAY', 'RET'))
);
grant select, insert, update (status, said_at) on consent.iys_standing to mahrem_app;

-- How far a file, or the list of movements of one origin, was taken in.
create table consent.iys_exchange (
    brand bigint not null,
    name text not null,
    row_number bigint not null,
    after text not null default '',
    rows_read bigint not null,
    rows_rejected bigint not null,
    rows_nobody bigint not null,
    rows_recorded bigint not null,
    rows_known bigint not null,
    rows_held_back bigint not null,
    done boolean not null default false,
    updated_at timestamptz not null default now(),
    constraint iys_exchange_pkey primary key (brand, name),
    constraint iys_exchange_name_is_a_word check (name ~ '^(file:[0-9a-f]{32}|changes:(HS|IYS)|consents)$'),
    constraint iys_exchange_after_is_short check (length(after) <= 256)
);
grant select, insert, update on consent.iys_exchange to mahrem_app;

-- What was sent, until the registry has said how it fared, and after that how.
create table consent.iys_sent (
    data_subject_id uuid not null,
    brand bigint not null,
    request text not null,
    position integer not null,
    address bytea not null,
    type text not null,
    status text not null,
    said_at timestamptz not null,
    sent_at timestamptz not null default now(),
    outcome text not null default 'waiting',
    code text not null default '',
    constraint iys_sent_pkey primary key (data_subject_id, request, position),
    constraint iys_sent_is_about_a_person foreign key (data_subject_id)
        references vault.data_subject (data_subject_id) on delete cascade,
    constraint iys_sent_request_is_a_name check (request ~ '^[0-9A-Za-z-]{1,64}$'),
    constraint iys_sent_address_has_its_length check (octet_length(address) = 16),
    constraint iys_sent_type_is_known check (type in ('ARAMA', 'MESAJ', 'EPOSTA')),
    constraint iys_sent_status_is_known check (status in ('ONAY', 'RET')),
    constraint iys_sent_outcome_is_known check (outcome in ('waiting', 'taken', 'failed')),
    constraint iys_sent_code_is_a_code check (code ~ '^([A-Z][0-9]{1,7}|unknown)?$')
);
create index iys_sent_waiting on consent.iys_sent (brand, request) where outcome = 'waiting';
create index iys_sent_request on consent.iys_sent (request, position);
grant select, insert, update (outcome, code) on consent.iys_sent to mahrem_app;

-- Whose own choices are to be told, by when they were recorded.
create index record_for_iys on consent.record (recorded_at, data_subject_id)
    where purpose = 'marketing' and source <> 'iys';
