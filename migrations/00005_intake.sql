-- +goose Up
-- How far each file was loaded. A row is written in the transaction of each batch, so
-- that a load which breaks off goes on behind the last committed row, and a file that
-- was loaded changes nothing when it comes again. It holds digests and counts, nothing
-- of anybody.

create schema intake;
grant usage on schema intake to mahrem_app;

create table intake.load_progress (
    file_digest bytea not null,
    mapping_digest bytea not null,
    source text not null,
    last_row bigint not null,
    row_count bigint not null,
    accepted_count bigint not null,
    rejected_count bigint not null,
    person_count bigint not null,
    new_person_count bigint not null,
    event_count bigint not null,
    new_event_count bigint not null,
    done boolean not null,
    updated_at timestamptz not null default now(),
    constraint load_progress_pkey primary key (file_digest, mapping_digest),
    constraint load_progress_digests_have_their_length check (octet_length(file_digest) = 32 and octet_length(mapping_digest) = 32),
    constraint load_progress_source_is_a_key check (source ~ '^[a-z][a-z0-9_.-]{0,63}$'),
    constraint load_progress_counts_add_up check (row_count = accepted_count + rejected_count and accepted_count >= 0
        and rejected_count >= 0 and new_event_count <= event_count and new_person_count <= person_count)
);
grant select, insert, update (last_row, row_count, accepted_count, rejected_count, person_count, new_person_count,
    event_count, new_event_count, done, updated_at) on intake.load_progress to mahrem_app;
