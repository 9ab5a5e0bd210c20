-- +goose Up
-- What a recipient has already been told about a person, as far as it points to a
-- protected inference. The content is sealed under the person's DEK: that somebody was
-- told something harmless is all a row says.

create schema gate;
grant usage on schema gate to mahrem_app;

create table gate.exposure (
    data_subject_id uuid not null,
    recipient text not null,
    exposure_number bigint not null,
    sealed bytea not null,
    released_at timestamptz not null,
    constraint exposure_pkey primary key (data_subject_id, recipient, exposure_number),
    constraint exposure_counts_from_one check (exposure_number >= 1)
);
grant select, insert on gate.exposure to mahrem_app;
