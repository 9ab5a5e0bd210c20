-- +goose Up
-- Certificates of erasure, as they were signed. They name nobody, but they name categories
-- of data, and a hold can lead from a person to an erasure: so they are sealed under the
-- house's key. A later revision replaces those before, which are kept: what was once handed
-- out must be found again.

create table dsar.certificate (
    erasure_id uuid not null,
    revision bigint not null,
    sealed bytea not null,
    issued_at timestamptz not null,
    constraint certificate_pkey primary key (erasure_id, revision),
    constraint certificate_is_of_an_erasure foreign key (erasure_id) references dsar.erasure (erasure_id),
    constraint certificate_revision_counts_from_one check (revision >= 1),
    constraint certificate_sealed_is_bounded check (octet_length(sealed) between 30 and 1048704)
);
grant select, insert on dsar.certificate to mahrem_app;
select audit.guard('dsar.certificate');
