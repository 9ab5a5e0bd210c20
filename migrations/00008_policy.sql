-- +goose Up
-- Which signed policy bundles were active, by their number. A bundle with a lower number
-- than the highest here is never activated again: an old one, though signed, may be the
-- one with the hole. Rows are only added, in the transaction of the log entry that says
-- so.

create schema policy;
grant usage on schema policy to mahrem_app;

create table policy.activation (
    sequence bigint not null,
    digest bytea not null,
    signed_by text not null,
    activated_at timestamptz not null default now(),
    constraint activation_pkey primary key (sequence),
    constraint activation_counts_from_one check (sequence >= 1),
    constraint activation_digest_is_sha256 check (octet_length(digest) = 32),
    constraint activation_signed_by_is_a_name check (signed_by <> '' and length(signed_by) <= 200)
);
grant select, insert on policy.activation to mahrem_app;
