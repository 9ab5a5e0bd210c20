-- +goose Up
-- Those whom a request is passed on to, and what they answered; and those who pass their
-- requests on to us. Both by OpenDSR (docs/opendsr.md).

create table dsar.processor (
    -- Also the word by which the outbox knows where a message goes to.
    processor_id text not null,
    -- The recipient of the catalogue that it is: people are named to it by the pseudonyms
    -- of that recipient.
    recipient text not null,
    -- The domain in whose name it signs. Nobody else's signature counts.
    domain text not null,
    base_url text not null,
    api_version text not null,
    -- The authorities that are believed for it, in PEM; null is those of the machine.
    roots text,
    -- Its certificate and those between it and an authority, in PEM, as fetched last.
    certificate text not null,
    certificate_at timestamptz not null,
    -- In which form it knows addresses; null: not at all, only by pseudonym.
    email_format text,
    -- The token that we show it, sealed as a thing of the house.
    sealed_token bytea,
    added_by bytea not null,
    added_at timestamptz not null,
    retired_at timestamptz,
    constraint processor_pkey primary key (processor_id),
    constraint processor_id_is_a_word check (processor_id ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint processor_recipient_is_a_word check (recipient ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint processor_domain_is_a_host check (domain ~ '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$'),
    constraint processor_base_url_is_https check (base_url ~ '^https://[^[:space:]?#@]+$' and length(base_url) <= 512),
    constraint processor_api_version_is_known check (api_version in ('1.0', '2.0', '3.0')),
    constraint processor_email_format_is_known check (email_format in ('raw', 'sha256')),
    constraint processor_certificates_are_bounded check (octet_length(certificate) <= 65536 and octet_length(roots) <= 65536),
    constraint processor_added_by_is_a_tag check (octet_length(added_by) = 16),
    constraint processor_retires_after_it_was_added check (retired_at >= added_at)
);
create unique index processor_domain on dsar.processor (domain) where retired_at is null;
grant select, insert, update (certificate, certificate_at, retired_at) on dsar.processor to mahrem_app;

-- One request at one processor.
create table dsar.processor_task (
    request_id uuid not null,
    processor_id text not null,
    -- The name that the processor knows it by, drawn for it alone: two processors cannot
    -- tell that they were told of the same person.
    subject_request_id uuid not null,
    kind text not null,
    state text not null,
    delivery_id uuid not null,
    queued_at timestamptz not null,
    accepted_at timestamptz,
    expected_at timestamptz,
    settled_at timestamptz,
    -- When it was last asked, or last said anything.
    heard_at timestamptz,
    results_count bigint,
    -- Of the places to which it passed the request on (3.0).
    parts_failed integer not null default 0,
    parts_skipped integer not null default 0,
    parts_open integer not null default 0,
    -- Somebody decided not to wait for it any longer, and to say so in the evidence.
    listed_open_at timestamptz,
    listed_open_by bytea,
    listed_open_reason text,
    version bigint not null default 1,
    constraint processor_task_pkey primary key (request_id, processor_id),
    constraint processor_task_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint processor_task_is_of_a_processor foreign key (processor_id) references dsar.processor (processor_id),
    constraint processor_task_subject_request_id_is_its_own unique (subject_request_id),
    constraint processor_task_kind_is_known check (kind in ('access', 'portability', 'erasure')),
    -- incomplete: it says completed, but a part failed, was skipped or has not answered.
    constraint processor_task_state_is_known check (state in ('queued', 'pending', 'in_progress', 'completed', 'incomplete', 'cancelled', 'undeliverable')),
    constraint processor_task_settles_with_a_time check ((settled_at is not null) = (state in ('completed', 'incomplete', 'cancelled', 'undeliverable'))),
    constraint processor_task_accepted_before_it_moves check (accepted_at is not null or state in ('queued', 'undeliverable')),
    constraint processor_task_results_are_counted check (results_count >= 0),
    constraint processor_task_parts_are_counted check (parts_failed >= 0 and parts_skipped >= 0 and parts_open >= 0),
    constraint processor_task_completed_is_whole check (state <> 'completed' or parts_failed + parts_skipped + parts_open = 0),
    constraint processor_task_listing_is_whole check ((listed_open_at is null) = (listed_open_by is null) and (listed_open_at is null) = (listed_open_reason is null)),
    constraint processor_task_listing_reason_is_known check (listed_open_reason in ('no_answer', 'cannot_erase', 'contract_ended', 'handled_by_letter')),
    constraint processor_task_listed_by_is_a_tag check (octet_length(listed_open_by) = 16),
    constraint processor_task_version_counts_from_one check (version >= 1)
);
create index processor_task_processor_id on dsar.processor_task (processor_id, state);
create index processor_task_waiting on dsar.processor_task (heard_at) where state in ('pending', 'in_progress');
grant select, insert, update (state, accepted_at, expected_at, settled_at, heard_at, results_count, parts_failed, parts_skipped,
    parts_open, listed_open_at, listed_open_by, listed_open_reason, version) on dsar.processor_task to mahrem_app;

-- The digest of each signed message that was believed. The protocol signs no time: what
-- came once does not count again.
create table dsar.processor_message (
    processor_id text not null,
    digest bytea not null,
    subject_request_id uuid not null,
    received_at timestamptz not null,
    constraint processor_message_pkey primary key (processor_id, digest),
    constraint processor_message_is_of_a_task foreign key (subject_request_id) references dsar.processor_task (subject_request_id) on delete cascade,
    constraint processor_message_digest_is_a_sha256 check (octet_length(digest) = 32)
);
create index processor_message_subject_request_id on dsar.processor_message (subject_request_id);
grant select, insert on dsar.processor_message to mahrem_app;

-- Controllers whose processor we are.
create table dsar.controller (
    controller_id text not null,
    -- Whose tokens speak for it.
    recipient text not null,
    -- The only addresses to which it may have statuses sent, each in full.
    callbacks text[] not null,
    -- The authorities that are believed for connections to it, in PEM; null is those of the machine.
    roots text,
    jurisdiction text not null,
    language text not null,
    added_by bytea not null,
    added_at timestamptz not null,
    retired_at timestamptz,
    constraint controller_pkey primary key (controller_id),
    constraint controller_id_is_a_word check (controller_id ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint controller_recipient_is_a_word check (recipient ~ '^[a-z0-9][a-z0-9._-]{0,63}$'),
    constraint controller_callbacks_are_bounded check (cardinality(callbacks) <= 8),
    constraint controller_roots_are_bounded check (octet_length(roots) <= 65536),
    constraint controller_jurisdiction_is_a_key check (jurisdiction ~ '^[A-Z]{2}(-[A-Z]{2,3})?$'),
    constraint controller_language_is_known check (language in ('en', 'tr', 'cs')),
    constraint controller_added_by_is_a_tag check (octet_length(added_by) = 16),
    constraint controller_retires_after_it_was_added check (retired_at >= added_at)
);
create unique index controller_recipient on dsar.controller (recipient) where retired_at is null;
grant select, insert, update (callbacks, retired_at) on dsar.controller to mahrem_app;

-- One request of theirs, and which of its steps they have been told of.
create table dsar.controller_request (
    controller_id text not null,
    subject_request_id uuid not null,
    request_id uuid not null,
    api_version text not null,
    -- The addresses out of controller.callbacks that this request names.
    callbacks text[] not null,
    received_at timestamptz not null,
    expected_at timestamptz not null,
    told_step bigint not null default 1,
    told_status text not null default 'pending',
    constraint controller_request_pkey primary key (controller_id, subject_request_id),
    constraint controller_request_is_of_a_controller foreign key (controller_id) references dsar.controller (controller_id),
    constraint controller_request_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint controller_request_request_id_is_its_own unique (request_id),
    constraint controller_request_api_version_is_known check (api_version in ('1.0', '2.0', '3.0')),
    constraint controller_request_callbacks_are_bounded check (cardinality(callbacks) <= 8),
    constraint controller_request_told_status_is_known check (told_status in ('pending', 'in_progress', 'completed', 'cancelled')),
    constraint controller_request_told_step_counts_from_one check (told_step >= 1)
);
create index controller_request_to_tell on dsar.controller_request (request_id) where told_status in ('pending', 'in_progress');
grant select, insert, update (told_step, told_status) on dsar.controller_request to mahrem_app;
