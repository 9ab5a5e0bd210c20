-- +goose Up
-- Certificates of erasure, as they were signed. They name nobody. A later revision replaces
-- those before, which are kept: what was once handed out must be found again.

create table dsar.certificate (
    erasure_id uuid not null,
    revision bigint not null,
    note bytea not null,
    issued_at timestamptz not null,
    constraint certificate_pkey primary key (erasure_id, revision),
    constraint certificate_is_of_an_erasure foreign key (erasure_id) references dsar.erasure (erasure_id),
    constraint certificate_revision_counts_from_one check (revision >= 1),
    constraint certificate_note_is_bounded check (octet_length(note) between 1 and 1048576)
);
grant select, insert on dsar.certificate to mahrem_app;
select audit.guard('dsar.certificate');
