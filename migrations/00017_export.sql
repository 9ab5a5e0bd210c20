-- +goose Up
-- Exports that are waiting to be fetched (GDPR Articles 15 and 20, KVKK Article 11). The
-- file itself is outside the database, encrypted for the person; its name is the export's
-- id. A row says nothing about anybody but through its request, and when the person of the
-- request is erased nothing leads to them any more and the link is dead.

create table dsar.export (
    export_id uuid not null,
    request_id uuid not null,
    -- A keyed tag of the token in the link: whoever reads the table cannot fetch anything.
    token_tag uuid not null,
    -- SHA-256 of the manifest, as the log has it, and of the file as it lies on the disk.
    manifest bytea not null,
    file_digest bytea not null,
    size_bytes bigint not null,
    made_at timestamptz not null default now(),
    expires_at timestamptz not null,
    fetched_at timestamptz,
    constraint export_pkey primary key (export_id),
    constraint export_is_of_a_request foreign key (request_id) references dsar.request (request_id) on delete cascade,
    constraint export_token_opens_one unique (token_tag),
    constraint export_digests_have_their_length check (octet_length(manifest) = 32 and octet_length(file_digest) = 32),
    constraint export_is_not_empty check (size_bytes > 0),
    constraint export_ends_after_it_began check (expires_at > made_at)
);
create index export_request_id on dsar.export (request_id);
grant select, insert, update (fetched_at) on dsar.export to mahrem_app;
