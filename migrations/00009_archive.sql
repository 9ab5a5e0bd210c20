-- +goose Up
-- What decisions were made of. The log holds the digests of the policy bundle and of the
-- facts of each decision; here is what they are digests of, so that a decision can be
-- shown and made again years later. Facts are finite and repeat, so there is a row for
-- each that occurred, not for each decision, and nothing that leads from a row to a person.

create schema archive;
grant usage on schema archive to mahrem_app;

-- A policy bundle in full, with its statement if it has one.
create table archive.bundle (
    policy bytea not null,
    content bytea not null,
    recorded_at timestamptz not null default now(),
    constraint bundle_pkey primary key (policy),
    constraint bundle_policy_has_its_length check (octet_length(policy) = 32),
    constraint bundle_content_has_a_length check (octet_length(content) between 1 and 16777216)
);
-- It is compressed already.
alter table archive.bundle alter column content set storage external;

-- The canonical facts and the canonical plan, sealed under the house's own key. Not
-- planned means that the policies came to no plan.
create table archive.decided (
    policy bytea not null,
    facts bytea not null,
    planned boolean not null,
    sealed bytea not null,
    recorded_at timestamptz not null default now(),
    constraint decided_pkey primary key (policy, facts, planned),
    constraint decided_policy_has_its_length check (octet_length(policy) = 32),
    constraint decided_facts_have_their_length check (octet_length(facts) = 32),
    constraint decided_sealed_has_a_length check (octet_length(sealed) between 30 and 65536)
);

grant select, insert on archive.bundle, archive.decided to mahrem_app;
-- Nothing here ever has a reason to change: as in the log.
select audit.guard(t) from unnest(array['archive.bundle', 'archive.decided']::regclass[]) as t;

-- How many different people decisions with these facts were about, a day and process: a
-- sealed sketch of tags that are keyed with each person's own blinding key.
create table archive.people (
    policy bytea not null,
    facts bytea not null,
    day date not null,
    part bytea not null,
    sealed bytea not null,
    constraint people_pkey primary key (policy, facts, day, part),
    constraint people_policy_has_its_length check (octet_length(policy) = 32),
    constraint people_facts_have_their_length check (octet_length(facts) = 32),
    constraint people_part_has_its_length check (octet_length(part) = 16),
    constraint people_sealed_has_a_length check (octet_length(sealed) between 30 and 65536)
);
alter table archive.people alter column sealed set storage external;
alter table archive.people set (toast_tuple_target = 8160);
grant select, insert, update (sealed) on archive.people to mahrem_app;
